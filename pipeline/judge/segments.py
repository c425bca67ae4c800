"""Columns of a matrix by what is pooled together, so that pooling is a few operations, however many policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pool:
    """Segments of one length, side by side from column `start`: pooling them is one operation."""

    segments: NDArray[np.intp]
    start: int
    length: int
    ones: NDArray[np.float32]

    def of(self, terms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the segments' columns, float32 [N, segments, length]."""
        count = len(self.segments)
        return terms[:, self.start : self.start + count * self.length].reshape(len(terms), count, self.length)


def layout_columns(
    rows: Sequence[tuple[int, int]], wanted: NDArray[np.bool_], first: int
) -> tuple[list[Pool], list[int]]:
    """
    Lay the wanted segments (start, stop) of `rows` out by their length, from column `first`.

    `wanted`: bool, one a segment; empty ones have no column. Returns the pools, and the row each column is for.
    """
    by_length: dict[int, list[int]] = {}
    for segment in np.flatnonzero(wanted).tolist():
        start, stop = rows[segment]
        if stop > start:
            by_length.setdefault(stop - start, []).append(segment)
    pools, columns = [], list[int]()
    for length, segments in sorted(by_length.items()):
        start, ones = first + len(columns), np.ones(length, dtype=np.float32)
        pools.append(Pool(np.array(segments, dtype=np.intp), start, length, ones))
        columns += [row for segment in segments for row in range(*rows[segment])]
    return pools, columns
