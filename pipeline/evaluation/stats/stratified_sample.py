"""Stratified sample of archived images to label for a policy and an edit of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

# Number of bands, by score, of the images that both versions flag.
BANDS = 3
# Rank bands of unflagged images: 1x, 4x, 16x the number of flags, then the remainder.
_WIDER = (1, 4, 16)
# Minimum size of the first of these bands, for a policy that flags hardly anything yet.
_LEAST_TOP = 50


class Kind(Enum):
    """Answers of the two versions about a stratum."""

    NEWLY_FLAGGED = "newly flagged"
    NEWLY_CLEARED = "newly cleared"
    FLAGGED = "flagged by both"
    NEITHER = "flagged by neither"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Part of the archive. `members`: int [N], indices of images; `drawn`: int [n], the members in the sample."""

    kind: Kind
    members: NDArray[np.intp]
    drawn: NDArray[np.intp]

    @property
    def probability(self) -> float:
        """Probability of each member to be in the sample."""
        return len(self.drawn) / len(self.members)


def draw_sample(
    scores: NDArray[np.float64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> list[Stratum]:
    """
    Draw `count` images (or all, if there are fewer): the same number from every stratum that has enough.

    `scores`: float64 [N], by the edited policy; `before`, `after`: bool [N], the flags of each version. Images that the
    edit flips, and images near its threshold, are sampled far more often than in a plain sample; the probability of
    their stratum corrects for that (stratified sampling, Cochran 1977, chapter 5).
    """
    parts = _parts(scores, before, after)
    sizes = _allocated([len(members) for _, members in parts], count)
    return [
        Stratum(kind, members, rng.choice(members, size, replace=False))
        for (kind, members), size in zip(parts, sizes, strict=True)
    ]


def _parts(
    scores: NDArray[np.float64], before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> list[tuple[Kind, NDArray[np.intp]]]:
    falling = np.argsort(-scores, kind="stable")
    was, will = before[falling], after[falling]
    found = [(Kind.NEWLY_FLAGGED, falling[will & ~was]), (Kind.NEWLY_CLEARED, falling[was & ~will])]
    found += [(Kind.FLAGGED, band) for band in np.array_split(falling[was & will], BANDS)]
    neither = falling[~was & ~will]
    unit = max(int((before | after).sum()), _LEAST_TOP)
    cuts = np.cumsum([unit * wider for wider in _WIDER])
    found += [(Kind.NEITHER, part) for part in np.split(neither, cuts[cuts < len(neither)])]
    return [(kind, members) for kind, members in found if len(members)]


def _allocated(sizes: Sequence[int], count: int) -> list[int]:
    """
    Return the number to sample from each stratum: equal numbers, and more from large strata if others are too small.
    """
    left = min(count, sum(sizes))
    given = [0] * len(sizes)
    while left:
        open_strata = [index for index, size in enumerate(sizes) if given[index] < size]
        share = max(1, left // len(open_strata))
        for index in open_strata:
            more = min(share, sizes[index] - given[index], left)
            given[index] += more
            left -= more
    return given
