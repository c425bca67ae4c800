"""Confidence intervals of shares, differences and means."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Two-sided 95 % of the normal distribution.
_Z = 1.959964
RESAMPLES = 1000

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value and the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float

    def __repr__(self) -> str:
        value = "unknown" if math.isnan(self.value) else f"{self.value:.4g}"
        return f"{value} ({self.lower:.4g} to {self.upper:.4g})"

    def excludes(self, value: float) -> bool:
        """Tell whether `value` is outside."""
        return not self.lower <= value <= self.upper


def wilson(hits: int, count: int) -> Interval:
    """Return the share of `hits` in `count` with Wilson's score interval (Wilson 1927); 0 to 1 if `count` is 0."""
    if not count:
        return Interval(float("nan"), 0.0, 1.0)
    share = hits / count
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def difference(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """Return the difference of two independent shares (Newcombe 1998, method 10)."""
    ours, theirs = wilson(hits, count), wilson(other_hits, other_count)
    value = ours.value - theirs.value
    below = math.hypot(ours.value - ours.lower, theirs.upper - theirs.value)
    above = math.hypot(ours.upper - ours.value, theirs.value - theirs.lower)
    return Interval(value, value - below, value + above)


def bootstrap(
    clusters: NDArray[np.intp],
    statistic: Callable[[Weights], NDArray[np.float64]],
    confidence: float = 0.95,
    seed: int = 1,
) -> Interval:
    """
    Return a statistic of N rows with its percentile bootstrap interval; whole clusters of rows are resampled.

    `clusters`: int [N], equal for rows that belong together (Davison and Hinkley 1997, section 3.8). `statistic` maps
    the counts of the rows, float64 [R, N], to float64 [R], NaN where it is undefined; the interval leaves NaN out.
    Without rows, or where every value is NaN, the interval is 0 to 1.
    """
    if not len(clusters):
        return Interval(float("nan"), 0.0, 1.0)
    value = float(statistic(np.ones((1, len(clusters))))[0])
    drawn = statistic(_cluster_weights(clusters, seed))
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Interval(float("nan"), 0.0, 1.0)
    outside = (1 - confidence) / 2
    lower, upper = np.quantile(drawn, [outside, 1 - outside])
    return Interval(value, float(lower), float(upper))


def _cluster_weights(clusters: NDArray[np.intp], seed: int) -> Weights:
    """Return the counts of the rows in each resample, float64 [R, N]."""
    count = int(clusters.max()) + 1
    present = np.unique(clusters)
    drawn = np.random.default_rng(seed).multinomial(
        len(present), np.full(len(present), 1 / len(present)), size=RESAMPLES
    )
    by_cluster = np.zeros((RESAMPLES, count))
    by_cluster[:, present] = drawn
    return by_cluster[:, clusters]


def bootstrap_means(values: NDArray[np.floating], seed: int = 1) -> list[Interval]:
    """
    Return the mean of each column of `values`, float [N, K], with a percentile bootstrap interval.

    Whole rows are resampled, so values of the same image stay paired (Efron and Tibshirani 1993, chapter 13).
    """
    count = len(values)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    drawn = weights @ values.astype(np.float64)
    lower, upper = np.percentile(drawn, [2.5, 97.5], axis=0)
    means = values.mean(axis=0)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(means, lower, upper, strict=True)]
