"""The lowest threshold that labels certify a precision for, choosing it included in the confidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Each candidate has so many more flags than the one before: fewer tests, at each of which bad luck may end it all.
GROWTH = 1.1
# An order that is chance's comes as far below by one in 30,000; with fewer of either answer it tells nothing.
_FAR, _FEW = 4.0, 5
# Shares of the largest bet that cannot lose everything; a mixture of them does nearly as well as the best one.
_BETS = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0])


@dataclass(frozen=True, slots=True)
class Labels:
    """
    Human answers about one policy's images, in the order they were given.

    `scores`: float64 [N]; `right`: bool [N], should be flagged; `weights`: float64 [N], how many images of the stream
    each stands for, up to a common factor: the inverse of its probability to be drawn. `clusters`: int [N], equal for
    near-duplicates. `by_answer` says that the answers decided what was drawn, as with as many right as wrong ones.
    `drawn`: scores and weights, float64 [M, 2], of all that was drawn to be labelled, where only part of it is yet.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    weights: NDArray[np.float64]
    clusters: NDArray[np.intp]
    by_answer: bool = False
    drawn: NDArray[np.float64] | None = None

    def once(self) -> "Labels":
        """Return the first label of each cluster: copies of an image are no more evidence than one."""
        first = np.sort(np.unique(self.clusters, return_index=True)[1])
        return self.at(first)

    def at(self, places: NDArray[np.intp]) -> "Labels":
        """Return the labels at these places, in their order."""
        return replace(
            self,
            scores=self.scores[places],
            right=self.right[places],
            weights=self.weights[places],
            clusters=self.clusters[places],
        )

    def heaviest(self, threshold: float) -> float:
        """Return the largest weight that a label over a threshold could have, known before any of them is."""
        if self.drawn is not None:
            return float(self.drawn[self.drawn[:, 0] >= threshold, 1].max())
        return float((self.weights if self.by_answer else self.weights[self.scores >= threshold]).max())


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold whose precision is at least the target, with the confidence asked for, and what was seen over it."""

    threshold: float
    flags: int
    hits: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why no threshold is certified, and how many more labels of flagged images, all right, it would take at least."""

    reason: str
    missing: int


def certify(
    labels: Labels, target: float, confidence: float, grid: Sequence[float] | None = None
) -> Certified | Refused:
    """
    Return the lowest threshold whose precision is certified.

    Thresholds are tested one after the other from the strictest on, each at the full level, and the first that fails
    ends it: so choosing the last that passed errs no more often than one test does (fixed-sequence testing, Maurer et
    al. 1995). The first has a number of flags that is known beforehand. Labels of equal weight are tested by the
    binomial distribution, others by betting on them (Waudby-Smith and Ramdas 2024, section 4). With a `grid` of
    thresholds, the strictest first, that does not change from fit to fit, all are tested by betting, and fitting again
    after every label is as safe as once; the labels must then be in the order they were given in, old ones first.
    """
    given, level = labels.once(), 1 - confidence
    if grid is None:
        given = _shuffled(given)
    least = flawless(target, confidence)
    tested = list(grid) if grid is not None else candidates(given, target, confidence)
    if not tested:
        return Refused(f"{len(given.scores)} labels of different images", least - len(given.scores))
    found: Certified | Refused = Refused("the strictest threshold fails", least)
    for threshold in tested:
        inside = given.scores >= threshold
        hits, flags = int(given.right[inside].sum()), int(inside.sum())
        if not _passes(given, threshold, target, level, anytime=grid is not None):
            if isinstance(found, Refused):
                reason = f"{hits} of {flags} labels over {threshold:.3f} are right"
                return Refused(reason, _missing(given, threshold, target, level))
            return found
        found = Certified(float(threshold), flags, hits)
    return found


def _shuffled(labels: Labels) -> Labels:
    """
    Return the labels in an order that has nothing to do with their answers, always the same.

    Betting on one after the other takes them for drawn in their order; a file sorted by answer would have all that is
    right first.
    """
    order = np.random.default_rng(len(labels.scores)).permutation(len(labels.scores))
    return labels.at(order)


def sorted_by_answer(right: NDArray[np.bool_]) -> bool:
    """Tell whether answers, in their order, change far less often than by chance (Wald and Wolfowitz 1940)."""
    hits, wrong = int(right.sum()), int((~right).sum())
    count = hits + wrong
    if min(hits, wrong) < _FEW:
        return False
    runs = 1 + int((right[1:] != right[:-1]).sum())
    mean = 1 + 2 * hits * wrong / count
    variance = (mean - 1) * (mean - 2) / (count - 1)
    return runs < mean - _FAR * math.sqrt(variance)


def flawless(target: float, confidence: float) -> int:
    """Return how many flags, all right, certify a precision: 59 for 0.95 with 95 % confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(target))


def candidates(labels: Labels, target: float, confidence: float) -> list[float]:
    """Return the thresholds to test, the strictest first: which ones depends on scores alone, on no answer."""
    scores, level = np.sort(labels.scores)[::-1], 1 - confidence
    allowing_one = next(
        flags for flags in range(flawless(target, confidence), 10**7) if _tail(flags - 1, flags, target) <= level
    )
    count = allowing_one if len(scores) >= allowing_one else flawless(target, confidence)
    found: list[float] = []
    while count <= len(scores):
        found.append(float(scores[count - 1]))
        count = math.ceil(count * GROWTH)
    return list(dict.fromkeys(found))


def _passes(labels: Labels, threshold: float, target: float, level: float, *, anytime: bool) -> bool:
    inside = labels.scores >= threshold
    right = labels.right[inside]
    if not len(right):
        return False
    if not anytime and _alike(labels, inside):
        return _tail(int(right.sum()), len(right), target) <= level
    return _log_wealth(right, _shares(labels, threshold), target) >= -math.log(level)


def _alike(labels: Labels, inside: NDArray[np.bool_]) -> bool:
    """Tell whether the labels inside are a plain sample: of equal weight, and not because only one answer is there."""
    return not labels.by_answer and np.ptp(labels.weights[inside]) == 0


def _shares(labels: Labels, threshold: float) -> NDArray[np.float64]:
    """Return the weights over a threshold as shares of the largest that could have been there."""
    return np.asarray(labels.weights[labels.scores >= threshold] / labels.heaviest(threshold))


def _tail(hits: int, flags: int, target: float) -> float:
    """Return the probability of at least so many hits when each flag is one with probability `target`."""
    return math.fsum(
        math.exp(_log_choose(flags, k) + k * math.log(target) + (flags - k) * math.log1p(-target))
        for k in range(hits, flags + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_wealth(right: NDArray[np.bool_], weights: NDArray[np.float64], target: float) -> float:
    """
    Return the log of the highest wealth of one who started with 1 and bet that precision is over the target.

    Each label pays weight x (right - target), `weights` at most 1, so that no bet gains on average while precision is
    at most the target: a wealth of 1 / level then comes up with at most that probability, ever (Ville 1939).
    """
    gains = weights * (right.astype(np.float64) - target)
    with np.errstate(divide="ignore"):
        paths = np.cumsum(np.log1p(_BETS[:, None] / target * gains), axis=1)
    return float((np.logaddexp.reduce(paths, axis=0) - math.log(len(_BETS))).max())


def _missing(labels: Labels, threshold: float, target: float, level: float) -> int:
    """Return how many more hits would certify what was seen so far, at the least."""
    inside = labels.scores >= threshold
    right = labels.right[inside]
    if not len(right):
        return flawless(target, 1 - level)
    hits, wrong, more = int(right.sum()), int((~right).sum()), 0
    if _alike(labels, inside):
        while _tail(hits + more, hits + wrong + more, target) > level:
            more += 1 + more // 16
        return more
    shares = _shares(labels, threshold)
    gain = math.log1p(float(shares[right].mean() if hits else shares.min()) * (1 - target) / target)
    return math.ceil((-math.log(level) - min(0.0, _log_wealth(right, shares, target))) / gain)
