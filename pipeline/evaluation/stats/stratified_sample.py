"""A probability sample of archived images for people to look at, where it tells most about a policy and its edit."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

# What is flagged before and after is cut into so many bands by score, the surest first.
BANDS = 3
# What is flagged by neither is cut by rank: as many as are flagged, then so many times that, and so on, and the rest.
_WIDER = (1, 4, 16)
# A policy that flags nothing yet still has a top: of that many images.
_LEAST_TOP = 50


class Kind(Enum):
    """What the two say of a stratum's images."""

    NEWLY_FLAGGED = "newly flagged"
    NEWLY_CLEARED = "newly cleared"
    FLAGGED = "flagged by both"
    NEITHER = "flagged by neither"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Part of the archive. `members`: int [N], places in it; `drawn`: int [n], those of them to be looked at."""

    kind: Kind
    members: NDArray[np.intp]
    drawn: NDArray[np.intp]

    @property
    def probability(self) -> float:
        """With which a member was drawn."""
        return len(self.drawn) / len(self.members)


def draw_sample(
    scores: NDArray[np.float64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> list[Stratum]:
    """
    Draw `count` images, as many as there are at the most, the same number of every stratum while it has that many.

    `scores`: float64 [N], by the edited policy; `before`, `after`: bool [N], what each version flags. So what an edit
    flips and what is near its threshold is looked at far more often than chance would have it, and the probability of
    each says by how much (stratified sampling, Cochran 1977, chapter 5).
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
    """Return how many to draw of each: the same of all, and what small ones cannot give shared by the others."""
    left = min(count, sum(sizes))
    given = [0] * len(sizes)
    while left:
        open_places = [place for place, size in enumerate(sizes) if given[place] < size]
        share = max(1, left // len(open_places))
        for place in open_places:
            more = min(share, sizes[place] - given[place], left)
            given[place] += more
            left -= more
    return given
