"""Intervals that cover at least as often as they say."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pipeline.evaluation.stats.intervals import Interval


def weighted_share(hits: NDArray[np.bool_], weights: NDArray[np.float64]) -> Interval:
    """
    Return the weighted share of `hits` with a 95 % interval; 0 to 1 without any.

    `weights`: float64 [N], how many each stands for. The interval is the exact binomial one (Clopper and Pearson 1934)
    of as many equal weights as are worth these, (sum w)^2 / sum w^2 (Kish 1965, section 11.7), a simple form of Korn
    and Graubard's (1998): it covers at least as often as it says for equal weights, and leans wide for others.
    """
    if not len(hits):
        return Interval(float("nan"), 0.0, 1.0)
    share = float(weights[hits].sum() / weights.sum())
    worth = float(weights.sum() ** 2 / (weights**2).sum())
    return Interval(share, *exact_ends(share * worth, worth))


def exact_ends(hits: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the exact binomial interval of a share (Clopper and Pearson 1934)."""
    outside = (1 - confidence) / 2
    lower = float(beta.ppf(outside, hits, count - hits + 1)) if hits > 0 else 0.0
    upper = float(beta.ppf(1 - outside, hits + 1, count - hits)) if hits < count else 1.0
    return lower, upper


def scaled(count: int, sample: int, images: int) -> Interval:
    """
    Return how many of `images` there are of what was counted in a plain `sample` of them, with a 95 % interval.

    The exact binomial interval (Clopper and Pearson 1934) is wider than that of a draw without replacement, and no
    further than what was seen: what is counted is there, and what was looked at and is not, is not.
    """
    if sample >= images:
        return Interval(float(count), float(count), float(count))
    lower, upper = exact_ends(count, sample)
    return Interval(count * images / sample, max(count, lower * images), min(images - (sample - count), upper * images))
