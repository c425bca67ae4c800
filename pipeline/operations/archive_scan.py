"""Scan of the archived images since a time, with progress."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from pipeline.archive.dataset import from_on
from pipeline.operations.workbench import Workbench


def scan_archive(workbench: Workbench, columns: Sequence[str], since: datetime) -> Iterator[pa.RecordBatch]:
    """
    Yield the model's rows from `since` on, in batches. Raises `ArchiveError` when the archive has none of the model.
    """
    archive, model, where = workbench.archive, workbench.bundle.digest, from_on(since)
    total = archive.dataset(model).count_rows(filter=where)
    batches = archive.scan(model, columns, where)
    yield from workbench.progress.track(batches, "judging archived images", total, lambda batch: int(batch.num_rows))
