"""Whether what is said to be likely is: predicted probabilities against what was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of about the same size: their mean, the share of them that came true, and how many there are."""

    predicted: float
    observed: Interval
    count: int


def reliability(predicted: NDArray[np.float64], right: NDArray[np.bool_], count: int = 10) -> list[ReliabilityBin]:
    """Return those of `count` bins of equal width with predictions in them. Both arrays are [N]."""
    bins = np.minimum((predicted * count).astype(int), count - 1)
    found = []
    for each in np.unique(bins):
        inside = bins == each
        held = int(inside.sum())
        found.append(ReliabilityBin(float(predicted[inside].mean()), wilson(int(right[inside].sum()), held), held))
    return found


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance of prediction and truth, weighted by count (Guo et al. 2017, equation 3)."""
    total = sum(each.count for each in bins)
    return sum(each.count / total * abs(each.observed.value - each.predicted) for each in bins)
