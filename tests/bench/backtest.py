"""The back-test over an archive against a bare product of the same embeddings in memory, in one run."""

import resource
import sys
import tempfile
from datetime import UTC, datetime, timedelta

import lance
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.archive.dataset import Archive
from pipeline.evaluate.archived import COLUMNS, part_of
from pipeline.evaluate.comparison import Comparison
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from tests.bench.judging import random_bank
from tests.bench.timing import paired

ROWS, DIMENSION, PROMPTS, POLICIES = 400_000, 256, 100, 10
MODEL = "e" * 64
NOW = datetime(2031, 5, 20, tzinfo=UTC)


def main() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    bank = random_bank(rng, PROMPTS, POLICIES, DIMENSION)
    before = bank.policy_set
    after = PolicySet(before.policies, before.background, "after")
    matrix = np.ascontiguousarray(bank.vectors.T)
    with tempfile.TemporaryDirectory(prefix="watchword-bench-") as folder:
        archive = Archive(folder)
        _write(archive, vectors)

        def ours() -> None:
            with threadpool_limits(limits=1, user_api="blas"):
                comparison = Comparison(before, after, lambda _: Judge(bank), threads=2)
                found = comparison.run(part_of(batch) for batch in archive.scan(MODEL, COLUMNS))
            assert found.images == ROWS

        def bare() -> None:
            for start in range(0, ROWS, 8192):
                vectors[start : start + 8192].astype(np.float32) @ matrix

        ours()
        ratio, seconds = paired(ours, bare, rounds=7)
    sys.stdout.write(
        f"back-test, {PROMPTS} prompts and {ROWS} embeddings: {1 / ratio:.2f} of a bare product's rate "
        f"({ROWS / seconds / 1e6:.2f} million a second; bar 0.9), "
        f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB with the copy in memory\n"
    )


def _write(archive: Archive, vectors: "np.ndarray[tuple[int, int], np.dtype[np.float16]]") -> None:
    """Store rows as `Archive.add` does, without making a value of each."""
    count = len(vectors)
    times = [NOW + timedelta(seconds=n % 600_000) for n in range(count)]
    columns = {
        "key": [f"images/0/{n}" for n in range(count)],
        "event_id": [f"e{n}" for n in range(count)],
        "source": ["shop"] * count,
        "attributes": ["{}"] * count,
        "content": [f"c{n}" for n in range(count)],
        "policy_set": ["s"] * count,
        "time": pa.array([time.replace(tzinfo=None) for time in times], pa.timestamp("us")),
        "hold": [""] * count,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
    }
    lance.write_dataset(pa.table(columns), f"{archive.address}/{MODEL}.lance", data_storage_version="2.0")


if __name__ == "__main__":
    main()
