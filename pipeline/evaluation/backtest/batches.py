"""Batches of archived rows, in the form that a back-test judges."""

import json
from collections.abc import Sequence
from typing import overload

import pyarrow as pa

from pipeline.archive.dataset import vectors_of
from pipeline.evaluation.backtest.result import Image, Part

# The columns that `part_of` needs.
COLUMNS = ["event_id", "source", "attributes", "time", "vector"]


class ArchivedImages(Sequence[Image]):
    """The images of a batch of archived rows; each is built on access."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    @overload
    def __getitem__(self, index: int) -> Image: ...

    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...

    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        event_id, source, attributes = (self._batch.column(name)[index].as_py() for name in COLUMNS[:3])
        return Image(event_id, source, json.loads(attributes))


def part_of(batch: pa.RecordBatch) -> Part:
    """Convert a batch of archived rows."""
    days = batch.column("time").to_numpy(zero_copy_only=False).astype("datetime64[D]")
    return Part(vectors_of(batch), ArchivedImages(batch), days)
