"""Paired tests: two sets of answers about the same images compared."""

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
    """Numbers of images whose answer worsened or improved, and the p-value of McNemar's one-sided test."""

    worsened: int
    improved: int
    p_value: float


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> PairedChange:
    """
    Compare whether answers are right before and after, bool [N] each, with McNemar's exact test (McNemar 1947).

    The one-sided p-value is the probability of at least as many changes for the worse if a fair coin decided each.
    """
    worsened, improved = int((before & ~after).sum()), int((~before & after).sum())
    changes = worsened + improved
    tail = sum(math.comb(changes, k) for k in range(worsened, changes + 1))
    return PairedChange(worsened, improved, tail / 2**changes)


def holm(p_values: Mapping[KeyT, float]) -> dict[KeyT, float]:
    """
    Adjust p-values for multiple tests (Holm 1979): the probability of any false rejection stays below the level.

    The smallest is multiplied by the number of tests, the next by one less, and so on, never decreasing.
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
    Return the change in precision, with an interval from a paired bootstrap over clusters of near-duplicates.

    `before`, `after`: flags, and `right`: labels, bool [N] each; `clusters`: int [N]. Each resample counts the same
    images for both, because precisions of overlapping flags vary together.
    """

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            return np.asarray(
                (weights @ (after & right)) / (weights @ after) - (weights @ (before & right)) / (weights @ before)
            )

    return bootstrap(clusters, difference, confidence)
