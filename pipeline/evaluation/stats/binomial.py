"""Exact (conservative) binomial intervals."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pipeline.evaluation.stats.intervals import Interval


def weighted_share(hits: NDArray[np.bool_], weights: NDArray[np.float64]) -> Interval:
    """
    Return the weighted share of `hits` with a 95 % interval; 0 to 1 without any.

    `weights`: float64 [N], the number of images that each stands for. The interval is the exact binomial one (Clopper
    and Pearson 1934) for the effective sample size, (sum w)^2 / sum w^2 (Kish 1965, section 11.7), a simple form of
    Korn and Graubard's (1998). Its coverage is at least 95 % for equal weights; for others it tends to be wide.
    """
    if not len(hits):
        return Interval(float("nan"), 0.0, 1.0)
    share = float(weights[hits].sum() / weights.sum())
    effective_size = float(weights.sum() ** 2 / (weights**2).sum())
    return Interval(share, *exact_ends(share * effective_size, effective_size))


def exact_ends(hits: float, count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the exact binomial interval of a share (Clopper and Pearson 1934)."""
    outside = (1 - confidence) / 2
    lower = float(beta.ppf(outside, hits, count - hits + 1)) if hits > 0 else 0.0
    upper = float(beta.ppf(1 - outside, hits + 1, count - hits)) if hits < count else 1.0
    return lower, upper


def scaled(count: int, sample: int, images: int) -> Interval:
    """
    Scale a `count` in a plain `sample` to all `images`, with a 95 % interval.

    The exact binomial interval (Clopper and Pearson 1934) is wider than that of a draw without replacement. Its ends
    respect the sample itself: at least `count` images are in, and at least `sample - count` are not.
    """
    if sample >= images:
        return Interval(float(count), float(count), float(count))
    lower, upper = exact_ends(count, sample)
    return Interval(count * images / sample, max(count, lower * images), min(images - (sample - count), upper * images))
