"""Rate of a back-test over an archive, compared in one run with a bare matrix product of the embeddings in memory."""

import pickle
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.archive.dataset import Archive
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.events.policies import PolicySet, PromptBank
from pipeline.judge.score import Judge
from tests.bench.judging import random_bank
from tests.bench.timing import paired

ROWS, DIMENSION, PROMPTS, POLICIES = 400_000, 256, 100, 10
TIMES, BANK = 4, "bank.pickle"
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
                comparison = PolicySetComparison(before, after, lambda _: Judge(bank), threads=2)
                found = comparison.run(part_of(batch) for batch in archive.scan(MODEL, COLUMNS))
            assert found.images == ROWS

        def bare() -> None:
            for start in range(0, ROWS, 8192):
                vectors[start : start + 8192].astype(np.float32) @ matrix

        ours()
        ratio, seconds = paired(ours, bare, rounds=7)
        (Path(folder) / BANK).write_bytes(pickle.dumps(bank))
        small = _peak_alone(folder)
        _write(archive, vectors, times=TIMES - 1)
        large = _peak_alone(folder)
    sys.stdout.write(
        f"back-test, {PROMPTS} prompts and {ROWS} embeddings: {1 / ratio:.2f} of a bare product's rate "
        f"({ROWS / seconds / 1e6:.2f} million a second; bar 0.9), "
        f"peak RSS of a process of its own {small:.0f} MB, of {TIMES} times as many {large:.0f} MB (bar 1000)\n"
    )


def _peak_alone(folder: str) -> float:
    """Return the peak memory, in MB, of a back-test in a separate process."""
    program = f"from tests.bench.backtest import peak_mb; print(peak_mb({folder!r}))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(run.stdout)


def peak_mb(folder: str) -> float:
    """Run a back-test in this process and return the process's peak memory, in MB."""
    bank: PromptBank = pickle.loads((Path(folder) / BANK).read_bytes())
    before = bank.policy_set
    after = PolicySet(before.policies, before.background, "after")
    with threadpool_limits(limits=1, user_api="blas"):
        comparison = PolicySetComparison(before, after, lambda _: Judge(bank), threads=2)
        comparison.run(part_of(batch) for batch in Archive(folder).scan(MODEL, COLUMNS))
    # Not `ru_maxrss`, which a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def _write(archive: Archive, vectors: "np.ndarray[tuple[int, int], np.dtype[np.float16]]", times: int = 1) -> None:
    """Store the rows `times` times, as `Archive.add` does, without an object for each."""
    count = len(vectors)
    stamps = [NOW + timedelta(seconds=n % 600_000) for n in range(count)]
    columns = {
        "key": [f"images/0/{n}" for n in range(count)],
        "event_id": [f"e{n}" for n in range(count)],
        "source": ["shop"] * count,
        "attributes": ["{}"] * count,
        "content": [f"c{n}" for n in range(count)],
        "policy_set": ["s"] * count,
        "time": pa.array([time.replace(tzinfo=None) for time in stamps], pa.timestamp("us")),
        "hold": [""] * count,
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
    }
    place, table = f"{archive.address}/{MODEL}.lance", pa.table(columns)
    for _ in range(times):
        mode = "append" if archive.models() else "create"
        lance.write_dataset(table, place, mode=mode, data_storage_version="2.0")


if __name__ == "__main__":
    main()
