"""Everything archived since a time, with progress."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from rich.progress import Progress

from pipeline.archive.dataset import Archive, from_on
from pipeline.cli.console import progress_output


def scanned(archive: Archive, model: str, columns: Sequence[str], since: datetime) -> Iterator[pa.RecordBatch]:
    """Yield batches of the rows of a model since then, and show how many were judged."""
    where = from_on(since)
    with Progress(console=progress_output(), transient=True) as progress:
        task = progress.add_task("judging what was archived", total=archive.dataset(model).count_rows(filter=where))
        for batch in archive.scan(model, columns, where):
            yield batch
            progress.advance(task, batch.num_rows)
