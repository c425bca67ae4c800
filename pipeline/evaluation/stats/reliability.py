"""Reliability: predicted probability against observed frequency."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of similar size: their mean, the observed frequency, and their number."""

    predicted: float
    observed: Interval
    count: int


def reliability(predicted: NDArray[np.float64], right: NDArray[np.bool_], count: int = 10) -> list[ReliabilityBin]:
    """Return the non-empty ones of `count` bins of equal width. Both arrays are [N]."""
    bins = np.minimum((predicted * count).astype(int), count - 1)
    found = []
    for each in np.unique(bins):
        inside = bins == each
        held = int(inside.sum())
        found.append(ReliabilityBin(float(predicted[inside].mean()), wilson(int(right[inside].sum()), held), held))
    return found


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean gap between prediction and frequency, weighted by count (Guo et al. 2017, equation 3)."""
    total = sum(each.count for each in bins)
    return sum(each.count / total * abs(each.observed.value - each.predicted) for each in bins)
