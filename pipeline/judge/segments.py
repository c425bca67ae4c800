"""Column layout of the logit matrix: segments of equal length lie together, so that a few operations pool them all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pool:
    """Adjacent segments of one length, from column `start` on. One operation pools them."""

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
    Assign columns, from column `first` on, to the wanted segments (start, stop) of `rows`, grouped by length.

    `wanted`: bool, one per segment. Empty segments have no column. Returns the pools, and the row of each column.
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
