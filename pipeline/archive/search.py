"""The archived embeddings nearest to a vector: all compared, or through an index where there are many."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive, from_on

# Below, all are compared, in less time than an index saves.
WORTH_AN_INDEX = 100_000
# Of what the index finds, so many times as many are compared exactly.
REFINE_FACTOR = 10
PROBES = 20
_COLUMNS = ["key", "event_id", "source", "content", "reference", "time"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An archived image and its cosine to what was looked for."""

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
    Return at most `count` images nearest to `vector`, float32 [D], unit length, the nearest first.

    Those that came after the index was built are compared one by one. Raises `ArchiveError` without the model.
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
    found = [Neighbour(1 - row.pop("_distance"), **row) for row in scanner.to_table().to_pylist()]
    return sorted(found, key=lambda each: (-each.cosine, each.key))


def index(archive: Archive, model: str) -> bool:
    """Index a model's embeddings anew; return whether there are enough for that to pay."""
    if archive.count(model) < WORTH_AN_INDEX:
        return False
    archive.index(model)
    return True
