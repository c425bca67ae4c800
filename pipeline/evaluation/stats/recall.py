"""How much of what should be flagged is: from what was flagged, and an audit of what was not."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pipeline.evaluation.stats.intervals import Interval

# With fewer misses found, an interval says more about the method than about the policy.
LEAST_MISSES = 10


@dataclass(frozen=True, slots=True)
class Recall:
    """`interval` is None, "unknown", with fewer than `LEAST_MISSES` misses found; `misses` is how many were."""

    interval: Interval | None
    hits: float
    misses: int


def estimate_recall(hits: float, missed: NDArray[np.float64], audited: NDArray[np.float64]) -> Recall:
    """
    Estimate recall with a 95 % interval, from images drawn with probabilities of their own.

    `hits`: how many right images were flagged, all of which are known. `missed`: float64 [M], the probability of each
    image that was looked at and should have been flagged; `audited`: float64 [N], of each that was looked at. What an
    image stands for is one over its probability (Horvitz and Thompson 1952); the total has the gamma interval of
    weighted counts (Fay and Feuer 1997), which covers at least as often as it says.
    """
    if len(missed) < LEAST_MISSES:
        return Recall(None, hits, len(missed))
    certain, weights = float((missed == 1).sum()), 1 / missed[missed < 1]
    open_weights = 1 / audited[audited < 1]
    total, lower, upper = weighted_total(weights, float(open_weights.max()) if len(open_weights) else 0.0)
    value, least, most = (hits / (hits + certain + each) if hits else 0.0 for each in (total, upper, lower))
    return Recall(Interval(value, least, most), hits, len(missed))


def weighted_total(weights: NDArray[np.float64], largest: float, level: float = 0.05) -> tuple[float, float, float]:
    """
    Return a weighted count and the ends of its interval (Fay and Feuer 1997, equations 2 and 3).

    `weights`: float64 [M], of what was found; `largest`: the largest weight that could have been found, so that a count
    of nothing still has an upper end.
    """
    total, variance = float(weights.sum()), float((weights**2).sum())
    lower = 0.0
    if total > 0:
        lower = variance / (2 * total) * float(chi2.ppf(level / 2, 2 * total**2 / variance))
    if largest == 0:
        return total, lower, total
    above, spread = total + largest, variance + largest**2
    upper = spread / (2 * above) * float(chi2.ppf(1 - level / 2, 2 * above**2 / spread))
    return total, 0.0 if math.isnan(lower) else lower, upper
