"""Nearest-neighbour search of the archive, by comparing every embedding or through an index."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive, from_on

# With fewer embeddings than this, comparing all of them is fast enough, and an index does not pay.
WORTH_AN_INDEX = 100_000
# The index yields this many candidates for each wanted result; they are then compared exactly.
REFINE_FACTOR = 10
PROBES = 20
_COLUMNS = ["key", "event_id", "source", "content", "reference", "time"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An archived image and its cosine with the query."""

    cosine: float
    key: str
    event_id: str
    source: str
    content: str
    reference: str
    time: datetime


def nearest(
    archive: Archive, model: str, vector: NDArray[np.float32], count: int, since: datetime | None = None
) -> list[Neighbour]:
    """
    Return the `count` images nearest to `vector`, float32 [D], unit length, nearest first.

    Images added after the index was built are compared one by one. Raises `ArchiveError` if the archive has no
    embeddings of the model.
    """
    wanted = {
        "column": "vector",
        "q": vector,
        "k": count,
        "metric": "cosine",
        "refine_factor": REFINE_FACTOR,
        "minimum_nprobes": PROBES,
    }
    scanner = archive.dataset(model).scanner(
        columns=[*_COLUMNS, "_distance"],
        nearest=wanted,
        filter=None if since is None else from_on(since),
        prefilter=True,
    )
    found = [_neighbour(row) for row in scanner.to_table().to_pylist()]
    return sorted(found, key=lambda each: (-each.cosine, each.key))


def _neighbour(row: dict[str, Any]) -> Neighbour:
    time = row.pop("time").replace(tzinfo=UTC)  # the archive's times are UTC without a zone
    return Neighbour(1 - row.pop("_distance"), **row, time=time)


def index(archive: Archive, model: str) -> bool:
    """Build the index of a model's embeddings again, if there are enough for it to pay; return whether there are."""
    if archive.count(model) < WORTH_AN_INDEX:
        return False
    archive.index(model)
    return True
