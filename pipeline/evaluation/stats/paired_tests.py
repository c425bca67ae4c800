"""Two answers to the same images compared: whether the second is worse, or it is noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.intervals import Interval, bootstrap

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class PairedChange:
    """How often the second is wrong where the first was right, and the other way round, and how surprising that is."""

    worsened: int
    improved: int
    p_value: float


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> PairedChange:
    """
    Compare what was right before, bool [N], with what is right after, by McNemar's exact test (McNemar 1947).

    The p-value is one-sided: how likely at least so many of the changes are for the worse, when each is so by a fair
    coin.
    """
    worsened, improved = int((before & ~after).sum()), int((~before & after).sum())
    changes = worsened + improved
    tail = sum(math.comb(changes, k) for k in range(worsened, changes + 1))
    return PairedChange(worsened, improved, tail / 2**changes)


def holm(p_values: Mapping[KeyT, float]) -> dict[KeyT, float]:
    """
    Adjust p-values so that rejecting those under a level errs in any of them with at most that probability.

    Holm 1979: the smallest times how many there are, the next times one fewer, and so on, never decreasing.
    """
    adjusted, highest = {}, 0.0
    for rank, (key, p_value) in enumerate(sorted(p_values.items(), key=lambda entry: entry[1])):
        highest = max(highest, min(1.0, p_value * (len(p_values) - rank)))
        adjusted[key] = highest
    return adjusted


def precision_change(
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    right: NDArray[np.bool_],
    clusters: NDArray[np.intp],
    confidence: float = 0.95,
) -> Interval:
    """
    Return how much precision changed, with its interval by a paired bootstrap over clusters of near-duplicates.

    `before`, `after`: the flags, `right`: what should be flagged, bool [N]; `clusters`: int [N]. Each draw counts the
    same images for both, since their precisions are of overlapping flags and vary together.
    """

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (weights @ (after & right)) / (weights @ after) - (weights @ (before & right)) / (weights @ before)
            )

    return bootstrap(clusters, difference, confidence)
