"""Certification: the lowest threshold whose precision labels show, with a confidence that covers the search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Ratio of the flags of each candidate to those of the stricter one: fewer tests are fewer chances to stop by bad luck.
GROWTH = 1.1
# A random order falls this many standard deviations below the expected runs once in 30,000. With fewer labels of
# either answer the order tells nothing.
_FAR, _FEW = 4.0, 5
# Bets as shares of the largest one that cannot lose everything. A mixture does nearly as well as the best of them.
_BETS = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0])


@dataclass(frozen=True, slots=True)
class Labels:
    """
    Human answers about one policy's images, in the order they were given.

    `scores`: float64 [N]; `positive`: bool [N], should be flagged; `weights`: float64 [N], the number of images of the
    stream that each stands for, up to a common factor: the inverse of its sampling probability. `clusters`: int [N],
    equal for near-duplicates. `by_answer`: the sample was drawn by the answers, for example as many positives as
    negatives. `drawn`: scores and weights, float64 [M, 2], of the whole sample, where only part of it is labelled yet.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    weights: NDArray[np.float64]
    clusters: NDArray[np.intp]
    by_answer: bool = False
    drawn: NDArray[np.float64] | None = None

    def deduplicated(self) -> "Labels":
        """Return the first label of each cluster: near-duplicates are no more evidence than one image."""
        first = np.sort(np.unique(self.clusters, return_index=True)[1])
        return self.at(first)

    def at(self, indexes: NDArray[np.intp]) -> "Labels":
        """Return the labels at these indexes, in their order."""
        return replace(
            self,
            scores=self.scores[indexes],
            positive=self.positive[indexes],
            weights=self.weights[indexes],
            clusters=self.clusters[indexes],
        )

    def heaviest(self, threshold: float) -> float:
        """Return the largest weight that a label above a threshold can have, which is known before any answer."""
        if self.drawn is not None:
            return float(self.drawn[self.drawn[:, 0] >= threshold, 1].max())
        return float((self.weights if self.by_answer else self.weights[self.scores >= threshold]).max())


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold certified to reach the target precision; `hits` of the `flags` labels over it are positive."""

    threshold: float
    flags: int
    hits: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal: its reason, and the minimum number of additional true positives that would certify a threshold."""

    reason: str
    missing: int


def certify(
    labels: Labels, target: float, confidence: float, grid: Sequence[float] | None = None
) -> Certified | Refused:
    """
    Return the lowest threshold whose precision is certified.

    Thresholds are tested in order, the strictest first, each at the full level. The first failure ends the search, so
    the last threshold that passed is wrong no more often than a single test (fixed-sequence testing, Maurer et al.
    1995). The number of flags of the first threshold is fixed before any answer is known. Labels of equal weight are
    tested by the binomial distribution, others by betting (Waudby-Smith and Ramdas 2024, section 4).

    A `grid` holds thresholds, the strictest first, that stay the same from fit to fit. All of them are then tested by
    betting, so that fitting after every label is as safe as fitting once. The labels must be in the order they were
    given, old ones first.
    """
    given, level = labels.deduplicated(), 1 - confidence
    if grid is None:
        given = _shuffled(given)
    least = flawless(target, confidence)
    tested = list(grid) if grid is not None else candidates(given, target, confidence)
    if not tested:
        return Refused(f"{len(given.scores)} labels of different images", least - len(given.scores))
    found: Certified | Refused = Refused("the strictest threshold fails", least)
    for threshold in tested:
        inside = given.scores >= threshold
        hits, flags = int(given.positive[inside].sum()), int(inside.sum())
        if not _passes(given, threshold, target, level, anytime=grid is not None):
            if isinstance(found, Refused):
                reason = f"{hits} of {flags} labels over {threshold:.3f} are right"
                return Refused(reason, _missing(given, threshold, target, level))
            return found
        found = Certified(float(threshold), flags, hits)
    return found


def _shuffled(labels: Labels) -> Labels:
    """
    Return the labels in an order that is independent of their answers and always the same.

    The betting test assumes that labels come in random order, but a file sorted by answer has all positives first.
    """
    order = np.random.default_rng(len(labels.scores)).permutation(len(labels.scores))
    return labels.at(order)


def sorted_by_answer(positive: NDArray[np.bool_]) -> bool:
    """Tell whether the answers change far less often than in a random order (Wald and Wolfowitz 1940)."""
    hits, wrong = int(positive.sum()), int((~positive).sum())
    count = hits + wrong
    if min(hits, wrong) < _FEW:
        return False
    runs = 1 + int((positive[1:] != positive[:-1]).sum())
    mean = 1 + 2 * hits * wrong / count
    variance = (mean - 1) * (mean - 2) / (count - 1)
    return runs < mean - _FAR * math.sqrt(variance)


def flawless(target: float, confidence: float) -> int:
    """Return the number of flags that certify a precision when all are right: 59 for 0.95 with 95 % confidence."""
    return math.ceil(math.log(1 - confidence) / math.log(target))


def candidates(labels: Labels, target: float, confidence: float) -> list[float]:
    """Return the thresholds to test, the strictest first. They depend on the scores alone, never on the answers."""
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
    positive = labels.positive[inside]
    if not len(positive):
        return False
    if not anytime and _equal_weights(labels, inside):
        return _tail(int(positive.sum()), len(positive), target) <= level
    return _log_wealth(positive, _shares(labels, threshold), target) >= -math.log(level)


def _equal_weights(labels: Labels, inside: NDArray[np.bool_]) -> bool:
    """Tell whether the labels inside are a plain sample. Labels that were drawn by answer never are."""
    return not labels.by_answer and np.ptp(labels.weights[inside]) == 0


def _shares(labels: Labels, threshold: float) -> NDArray[np.float64]:
    """Return the weights over a threshold as shares of the largest possible one."""
    return np.asarray(labels.weights[labels.scores >= threshold] / labels.heaviest(threshold))


def _tail(hits: int, flags: int, target: float) -> float:
    """Return the binomial probability of at least `hits` among `flags`, each with probability `target`."""
    return math.fsum(
        math.exp(_log_choose(flags, k) + k * math.log(target) + (flags - k) * math.log1p(-target))
        for k in range(hits, flags + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_wealth(positive: NDArray[np.bool_], weights: NDArray[np.float64], target: float) -> float:
    """
    Return the log of the highest wealth of a gambler who starts with 1 and bets that the precision exceeds the target.

    Each label pays weight x (positive - target), with weights of at most 1, so that no bet gains on average while the
    precision is at most the target. Wealth then reaches 1 / level with a probability of at most `level` (Ville 1939).
    """
    gains = weights * (positive.astype(np.float64) - target)
    with np.errstate(divide="ignore"):
        paths = np.cumsum(np.log1p(_BETS[:, None] / target * gains), axis=1)
    return float((np.logaddexp.reduce(paths, axis=0) - math.log(len(_BETS))).max())


def _missing(labels: Labels, threshold: float, target: float, level: float) -> int:
    """Return the minimum number of additional hits over the threshold that would certify it."""
    inside = labels.scores >= threshold
    positive = labels.positive[inside]
    if not len(positive):
        return flawless(target, 1 - level)
    hits, wrong, more = int(positive.sum()), int((~positive).sum()), 0
    if _equal_weights(labels, inside):
        while _tail(hits + more, hits + wrong + more, target) > level:
            more += 1 + more // 16
        return more
    shares = _shares(labels, threshold)
    gain = math.log1p(float(shares[positive].mean() if hits else shares.min()) * (1 - target) / target)
    return math.ceil((-math.log(level) - min(0.0, _log_wealth(positive, shares, target))) / gain)
