"""Recall estimated from flags and an audit sample of images that were not flagged."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from pipeline.evaluation.stats.intervals import Interval

# Minimum number of misses found: with fewer, an interval tells more about the method than about the policy.
MINIMUM_MISSES = 10


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall, with the numbers of hits and misses; `interval` is None with fewer than `MINIMUM_MISSES` misses."""

    interval: Interval | None
    hits: float
    misses: int


def estimate_recall(hits: float, missed: NDArray[np.float64], audited: NDArray[np.float64]) -> Recall:
    """
    Estimate recall with a 95 % interval, from an audit whose images have individual sampling probabilities.

    `hits`: the number of true positives, all of them known. `audited`: float64 [N], the probabilities of the audited
    images; `missed`: float64 [M], of those that should have been flagged. Each image is weighted by 1 ÷ its probability
    (Horvitz and Thompson 1952). The total has the gamma interval of weighted counts (Fay and Feuer 1997), whose
    coverage is at least 95 %.
    """
    if len(missed) < MINIMUM_MISSES:
        return Recall(None, hits, len(missed))
    certain, weights = float((missed == 1).sum()), 1 / missed[missed < 1]
    open_weights = 1 / audited[audited < 1]
    total, lower, upper = weighted_total(weights, float(open_weights.max()) if len(open_weights) else 0.0)
    value, least, most = (hits / (hits + certain + each) if hits else 0.0 for each in (total, upper, lower))
    return Recall(Interval(value, least, most), hits, len(missed))


def weighted_total(weights: NDArray[np.float64], largest: float, level: float = 0.05) -> tuple[float, float, float]:
    """
    Return a weighted count and the ends of its interval (Fay and Feuer 1997, equations 2 and 3).

    `weights`: float64 [M], of the images found; `largest`: the largest possible weight, which gives an empty count an
    upper end.
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
