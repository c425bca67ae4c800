"""Archived rows as what a back-test judges."""

import json
from collections.abc import Sequence
from typing import overload

import pyarrow as pa

from pipeline.archive.dataset import vectors_of
from pipeline.evaluation.backtest.result import Image, Part

# What `part_of` takes.
COLUMNS = ["event_id", "source", "attributes", "time", "vector"]


class ArchivedImages(Sequence[Image]):
    """The images of a batch of archived rows, each made when it is asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    @overload
    def __getitem__(self, place: int) -> Image: ...

    @overload
    def __getitem__(self, place: slice) -> list[Image]: ...

    def __getitem__(self, place: int | slice) -> Image | list[Image]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        event_id, source, attributes = (self._batch.column(name)[place].as_py() for name in COLUMNS[:3])
        return Image(event_id, source, json.loads(attributes))


def part_of(batch: pa.RecordBatch) -> Part:
    """Return a batch of archived rows as what is judged."""
    days = batch.column("time").to_numpy(zero_copy_only=False).astype("datetime64[D]")
    return Part(vectors_of(batch), ArchivedImages(batch), days)
