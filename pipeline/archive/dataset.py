"""Embeddings kept: a Lance dataset a model, on a folder or in object storage."""

import fcntl
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import lance
import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
from numpy.typing import NDArray

from pipeline.archive.rows import ArchivedEmbedding, is_digest
from pipeline.archive.table import table_of
from pipeline.bounded import brief
from pipeline.errors import ArchiveError, StoreFault

SUFFIX = ".lance"
# The newer default decodes embeddings at half the speed.
STORAGE_VERSION = "2.0"
FRAGMENT_ROWS = 1 << 20
_INDEX = "nearest"
_VALUES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """Why something is kept whatever its age and whoever asks."""

    content: str
    reason: str


class Archive:
    """
    Every embedding once, by its input record; each model's in a dataset of its own.

    `address` is a folder or an address such as `s3://bucket/archive`, with `storage_options` as Lance takes them.
    Several processes may write: of rows with one key, one is kept.
    """

    def __init__(self, address: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.address = address.rstrip("/")
        self.options = dict(storage_options or {})

    def models(self) -> list[str]:
        """Return the digests of the models whose embeddings are here."""
        if "://" not in self.address:
            # A folder without a manifest is a dataset that is being made.
            found = Path(self.address).glob(f"*{SUFFIX}/_versions/*.manifest")
            return sorted({path.parents[1].stem for path in found if is_digest(path.parents[1].stem)})
        files, root = self._file_system()
        found = files.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        names = (Path(each.path).stem for each in found if each.path.endswith(SUFFIX))
        return sorted(name for name in names if is_digest(name))

    def dataset(self, model: str) -> lance.LanceDataset:
        """Open the dataset of a model. Raises `ArchiveError` when there is none."""
        try:
            return lance.dataset(self._place(model), storage_options=self.options)
        except (ValueError, OSError) as error:
            if "not found" not in str(error).lower():
                raise StoreFault(f"`{self.address}`: {error}") from error
            raise ArchiveError(f"`{self.address}` has no embeddings of the model {model[:12]}") from error

    def add(self, rows: Sequence[ArchivedEmbedding]) -> int:
        """
        Store those that are not there yet and return how many they were.

        Raises `StoreFault` when the storage fails: the same rows may be given again.
        """
        try:
            return self._add(rows)
        except OSError as error:
            raise StoreFault(f"`{self.address}`: {error}") from error

    def _add(self, rows: Sequence[ArchivedEmbedding]) -> int:
        added = 0
        for model in sorted({row.model for row in rows}):
            given = {row.key: row for row in rows if row.model == model}
            table = table_of(list(given.values()))
            self._require(model, table)
            merge = self.dataset(model).merge_insert("key").when_not_matched_insert_all()
            added += int(merge.execute(table)["num_inserted_rows"])
        return added

    def count(self, model: str) -> int:
        """Return how many embeddings of a model there are."""
        return int(self.dataset(model).count_rows())

    def hold(self, content: str, reason: str) -> int:
        """Keep everything of one content digest until it is released; return how many rows that is."""
        if not reason.strip():
            raise ArchiveError("a hold needs a reason: who asked, and where that is written")
        return self._update(content, reason)

    def release(self, content: str) -> int:
        """End a hold."""
        return self._update(content, "")

    def holds(self) -> list[Held]:
        """Return everything that is held."""
        found = set()
        for model in self.models():
            table = self.dataset(model).to_table(columns=["content", "hold"], filter="hold != ''")
            found |= set(zip(table["content"].to_pylist(), table["hold"].to_pylist(), strict=True))
        return [Held(content, reason) for content, reason in sorted(found)]

    def delete(self, content: str) -> int:
        """
        Delete every embedding of one content digest, of all models, and return how many there were.

        Their bytes go with the next `purge`. Raises `ArchiveError` when one of them is held.
        """
        if reasons := [held.reason for held in self.holds() if held.content == content]:
            raise ArchiveError(f"`{content[:12]}` is held: {reasons[0]}; release it first")
        return sum(self._delete(model, f"content = {_quoted(content)}") for model in self.models())

    def expire(self, before: datetime) -> int:
        """Delete what is older and not held; return how many rows that is."""
        old = f"not ({from_on(before)}) and hold = ''"
        return sum(self._delete(model, old) for model in self.models())

    def compact(self) -> None:
        """
        Join small files and rewrite those with deleted rows, and remove what nobody has needed for an hour.

        Others may read and write meanwhile. Raises `StoreFault`.
        """
        try:
            self._compact(timedelta(hours=1), unverified=False)
        except OSError as error:
            raise StoreFault(f"`{self.address}`: {error}") from error

    def purge(self) -> None:
        """
        Compact, and remove every file that is no longer needed: no byte of what was deleted stays.

        Nobody else may write meanwhile: what they had not finished would be removed too. An index is built anew, since
        it keeps codes of what it was built on.
        """
        indexed = {model: len(self.dataset(model).list_indices()) for model in self.models()}
        for model in (model for model, count in indexed.items() if count):
            self.dataset(model).drop_index(_INDEX)
        self._compact(timedelta(0), unverified=True)
        for model in (model for model, count in indexed.items() if count and self.count(model)):
            self.index(model)

    def index(self, model: str) -> None:
        """Index a model's embeddings for search: IVF with RaBitQ codes, compared exactly afterwards."""
        partitions = max(1, round(self.count(model) ** 0.5))
        self.dataset(model).create_index(
            "vector", "IVF_RQ", name=_INDEX, metric="cosine", num_partitions=partitions, replace=True
        )

    def _compact(self, older_than: timedelta, *, unverified: bool) -> None:
        for model in self.models():
            dataset = self.dataset(model)
            dataset.optimize.compact_files(
                target_rows_per_fragment=FRAGMENT_ROWS, materialize_deletions=True, materialize_deletions_threshold=0.0
            )
            dataset.cleanup_old_versions(older_than=older_than, delete_unverified=unverified)

    def find(self, model: str, key: str) -> tuple[str, NDArray[np.float16]] | None:
        """Return the content digest and the embedding, float16 [D], of an input record; None when it is not here."""
        for batch in self.scan(model, ["content", "vector"], f"key = {_quoted(key)}"):
            if batch.num_rows:
                return str(batch.column("content")[0].as_py()), vectors_of(batch)[0]
        return None

    def of(
        self,
        model: str,
        column: Literal["key", "event_id"],
        values: Iterable[str],
        columns: Sequence[str],
        since: datetime | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of the rows in which `column` is one of `values`; those of that time and later."""
        later = "" if since is None else f" and {from_on(since)}"
        wanted = sorted(set(values))
        for at in range(0, len(wanted), _VALUES_AT_ONCE):
            some = ", ".join(_quoted(each) for each in wanted[at : at + _VALUES_AT_ONCE])
            yield from self.scan(model, columns, f"{column} in ({some}){later}")

    def fragments(self, model: str) -> list[int]:
        """Return the numbers of the parts that a model's rows are stored in."""
        return [fragment.fragment_id for fragment in self.dataset(model).get_fragments()]

    def scan(
        self, model: str, columns: Sequence[str], where: str | None = None, fragment: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of a model's rows, in the order they were stored; of one `fragment`, or of all."""
        dataset = self.dataset(model)
        some = None if fragment is None else [dataset.get_fragment(fragment)]
        yield from dataset.scanner(
            columns=list(columns), filter=where, io_buffer_size=64 << 20, fragments=some
        ).to_batches()

    def sample(
        self, model: str, columns: Sequence[str], since: datetime, share: float, rng: np.random.Generator
    ) -> tuple[int, list[pa.RecordBatch]]:
        """Return how many rows there are since then, and a plain sample of `share` of them, one at the least."""
        # One version for both: another process may compact or expire meanwhile.
        dataset = self.dataset(model)
        instants = [
            batch.column("time").to_numpy(zero_copy_only=False).astype("datetime64[us]")
            for batch in dataset.scanner(columns=["time"]).to_batches()
        ]
        start = np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "us")
        places = np.flatnonzero(np.concatenate(instants) >= start) if instants else np.zeros(0, dtype=np.intp)
        if not len(places):
            return 0, []
        drawn = np.sort(rng.choice(places, math.ceil(len(places) * share), replace=False))
        return len(places), dataset.take(drawn.tolist(), columns=list(columns)).to_batches()

    def _require(self, model: str, table: pa.Table) -> None:
        """Make the dataset of a model, with the table's columns, unless it is there."""
        if "://" not in self.address:
            Path(self.address).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Lance has the second of two who create one dataset at once write over the first's.
        with self._alone():
            if model not in self.models():
                lance.write_dataset(
                    table.slice(0, 0),
                    self._place(model),
                    data_storage_version=STORAGE_VERSION,
                    storage_options=self.options,
                )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes of this machine out; in object storage nothing does, so start one writer first there."""
        if "://" in self.address:
            yield
            return
        with (Path(self.address) / ".creating").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _update(self, content: str, reason: str) -> int:
        changed = 0
        for model in self.models():
            found = self.dataset(model).update({"hold": _quoted(reason)}, where=f"content = {_quoted(content)}")
            changed += int(found["num_rows_updated"])
        return changed

    def _delete(self, model: str, where: str) -> int:
        dataset = self.dataset(model)
        before = dataset.count_rows()
        dataset.delete(where)
        return int(before - dataset.count_rows())

    def _place(self, model: str) -> str:
        # It names a folder, and may come from whoever writes to the embeddings' topic.
        if not is_digest(model):
            raise ArchiveError(f"`{brief(model, 80)}` is no model: a digest of 64 hexadecimal digits is expected")
        return f"{self.address}/{model}{SUFFIX}"

    def _file_system(self) -> tuple[pafs.FileSystem, str]:
        scheme, _, root = self.address.partition("://")
        if scheme != "s3":
            raise ArchiveError(f"`{self.address}`: a folder, or an address that begins with `s3://`")
        options = self.options
        return pafs.S3FileSystem(
            access_key=options.get("access_key_id"),
            secret_key=options.get("secret_access_key"),
            endpoint_override=options.get("endpoint"),
            region=options.get("region"),
        ), root


def vectors_of(batch: pa.RecordBatch) -> NDArray[np.float16]:
    """Return a batch's embeddings, float16 [N, D], without a copy."""
    column = batch.column("vector")
    values = column.flatten().to_numpy(zero_copy_only=True)
    return np.asarray(values.reshape(len(column), -1))


def from_on(time: datetime) -> str:
    """Return the condition of rows of that time and later, for `scan`."""
    return f"time >= timestamp '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
