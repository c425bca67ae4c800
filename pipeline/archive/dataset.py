"""Archive of embeddings: one Lance dataset per model, in a folder or in object storage."""

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
# Lance's default, a newer version, decodes embeddings at half the speed.
STORAGE_VERSION = "2.0"
FRAGMENT_ROWS = 1 << 20
_INDEX = "nearest"
_VALUES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """A legal hold on one image: its content digest and the reason."""

    content: str
    reason: str


class Archive:
    """
    Embeddings, one per input record and model, with a separate dataset for each model.

    `address` is a folder, or an address such as `s3://bucket/archive` with `storage_options` as Lance takes them.
    Several processes may write. If they write rows with the same key, one row is kept.
    """

    def __init__(self, address: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.address = address.rstrip("/")
        self.options = dict(storage_options or {})

    def models(self) -> list[str]:
        """Return the digests of the models that have embeddings in the archive."""
        if "://" not in self.address:
            # A folder without a manifest is a dataset that another process is creating.
            found = Path(self.address).glob(f"*{SUFFIX}/_versions/*.manifest")
            return sorted({path.parents[1].stem for path in found if is_digest(path.parents[1].stem)})
        files, root = self.file_system()
        found = files.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        names = (Path(each.path).stem for each in found if each.path.endswith(SUFFIX))
        return sorted(name for name in names if is_digest(name))

    def dataset(self, model: str) -> lance.LanceDataset:
        """Open the dataset of a model. Raises `ArchiveError` when there is none."""
        try:
            return lance.dataset(self._dataset_address(model), storage_options=self.options)
        except (ValueError, OSError) as error:
            if "not found" not in str(error).lower():
                raise StoreFault(f"`{self.address}`: {error}") from error
            raise ArchiveError(f"`{self.address}` has no embeddings of the model {model[:12]}") from error

    def add(self, rows: Sequence[ArchivedEmbedding]) -> int:
        """
        Store the rows that are not in the archive yet, and return their number.

        Raises `StoreFault` when the storage fails. The same rows may then be added again.
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
        """Return the number of a model's embeddings."""
        return int(self.dataset(model).count_rows())

    def hold(self, content: str, reason: str) -> int:
        """Keep every row of one content digest until `release`; return the number of rows."""
        if not reason.strip():
            raise ArchiveError("a hold needs a reason: who asked for it, and where the request is documented")
        return self._update(content, reason)

    def release(self, content: str) -> int:
        """End the holds on one content digest; return the number of rows."""
        return self._update(content, "")

    def holds(self) -> list[Held]:
        """Return all holds."""
        found = set()
        for model in self.models():
            table = self.dataset(model).to_table(columns=["content", "hold"], filter="hold != ''")
            found |= set(zip(table["content"].to_pylist(), table["hold"].to_pylist(), strict=True))
        return [Held(content, reason) for content, reason in sorted(found)]

    def delete(self, content: str) -> int:
        """
        Delete every embedding of one content digest, for all models, and return their number.

        The next `purge` removes their bytes. Raises `ArchiveError` when one of them is held.
        """
        if reasons := [held.reason for held in self.holds() if held.content == content]:
            raise ArchiveError(f"`{content[:12]}` is held: {reasons[0]}; release it first")
        return sum(self._delete(model, f"content = {_quoted(content)}") for model in self.models())

    def expire(self, before: datetime) -> int:
        """Delete rows older than `before` that are not held; return their number."""
        old = f"not ({from_on(before)}) and hold = ''"
        return sum(self._delete(model, old) for model in self.models())

    def compact(self) -> None:
        """
        Merge small files, rewrite files with deleted rows, and remove versions older than an hour.

        Other processes may read and write meanwhile. Raises `StoreFault`.
        """
        try:
            self._compact(timedelta(hours=1), unverified=False)
        except OSError as error:
            raise StoreFault(f"`{self.address}`: {error}") from error

    def purge(self) -> None:
        """
        Compact, and remove every file that is no longer needed, so that no byte of a deleted row remains.

        No other process may write meanwhile: `purge` would remove its unfinished files too. An index is rebuilt,
        because the old one contains codes of deleted embeddings.
        """
        indexed = {model: len(self.dataset(model).list_indices()) for model in self.models()}
        for model in (model for model, count in indexed.items() if count):
            self.dataset(model).drop_index(_INDEX)
        self._compact(timedelta(0), unverified=True)
        for model in (model for model, count in indexed.items() if count and self.count(model)):
            self.index(model)

    def index(self, model: str) -> None:
        """Index a model's embeddings for search: IVF with RaBitQ codes; searches compare the candidates exactly."""
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
        """Return the content digest and the embedding, float16 [D], of an input record; None if it is not archived."""
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
        """Yield batches of the rows in which `column` is one of `values`, from the time `since` on."""
        later = "" if since is None else f" and {from_on(since)}"
        wanted = sorted(set(values))
        for at in range(0, len(wanted), _VALUES_AT_ONCE):
            some = ", ".join(_quoted(each) for each in wanted[at : at + _VALUES_AT_ONCE])
            yield from self.scan(model, columns, f"{column} in ({some}){later}")

    def fragments(self, model: str) -> list[int]:
        """Return the ids of the dataset's fragments, which together contain a model's rows."""
        return [fragment.fragment_id for fragment in self.dataset(model).get_fragments()]

    def scan(
        self, model: str, columns: Sequence[str], where: str | None = None, fragment: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches of a model's rows in the order in which they were stored, from one `fragment` or from all."""
        dataset = self.dataset(model)
        some = None if fragment is None else [dataset.get_fragment(fragment)]
        yield from dataset.scanner(
            columns=list(columns), filter=where, io_buffer_size=64 << 20, fragments=some
        ).to_batches()

    def sample(
        self, model: str, columns: Sequence[str], since: datetime, share: float, rng: np.random.Generator
    ) -> tuple[int, list[pa.RecordBatch]]:
        """Return the number of rows from `since` on, and a simple random sample of `share` of them, at least one."""
        # Both reads use one version of the dataset, because another process may compact or expire rows meanwhile.
        dataset = self.dataset(model)
        instants = [
            batch.column("time").to_numpy(zero_copy_only=False).astype("datetime64[us]")
            for batch in dataset.scanner(columns=["time"]).to_batches()
        ]
        start = np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "us")
        indices = np.flatnonzero(np.concatenate(instants) >= start) if instants else np.zeros(0, dtype=np.intp)
        if not len(indices):
            return 0, []
        drawn = np.sort(rng.choice(indices, math.ceil(len(indices) * share), replace=False))
        return len(indices), dataset.take(drawn.tolist(), columns=list(columns)).to_batches()

    def _require(self, model: str, table: pa.Table) -> None:
        """Create the dataset of a model, with the table's columns, unless it exists."""
        if "://" not in self.address:
            Path(self.address).mkdir(mode=0o700, parents=True, exist_ok=True)
        # If two processes create one dataset at once, the second overwrites the dataset of the first.
        with self._creation_lock():
            if model not in self.models():
                lance.write_dataset(
                    table.slice(0, 0),
                    self._dataset_address(model),
                    data_storage_version=STORAGE_VERSION,
                    storage_options=self.options,
                )

    @contextmanager
    def _creation_lock(self) -> Iterator[None]:
        """Exclude other processes of this machine. Object storage has no such lock: start one writer first there."""
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

    def _dataset_address(self, model: str) -> str:
        # The model names a folder, and comes from a record that anyone with access to the topic may have written.
        if not is_digest(model):
            raise ArchiveError(f"`{brief(model, 80)}` is not a model digest: 64 hexadecimal digits are expected")
        return f"{self.address}/{model}{SUFFIX}"

    def file_system(self) -> tuple[pafs.FileSystem, str]:
        """Return the object storage and the path within it. Raises `ArchiveError` for a folder."""
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
    """Return the condition for rows from `time` on, for `scan`."""
    return f"time >= timestamp '{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
