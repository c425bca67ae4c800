"""Best precision that labels support, for a policy whose target they do not."""

from dataclasses import dataclass
from functools import partial
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.certification import Certified, Labels, certify

SCALE = tuple(percent / 100 for percent in range(5, 100, 5))
# Labels over the strictest threshold, and the factor by which they grow from each threshold to the next.
_FIRST, _WIDER = 10, 3


@dataclass(frozen=True, slots=True)
class Reached:
    """A precision at a threshold, and the labels over it: `hits` of `flags` are right."""

    precision: float
    threshold: float
    flags: int
    hits: int


def best_supported(
    labels: Labels, target: float, confidence: float, *, everything: Labels | None = None
) -> Reached | None:
    """
    Return the highest precision of `SCALE` below the target that labels certify, with its threshold; None for none.

    A few thresholds are tested, each at an equal part of the significance level, so that the confidence covers the
    choice of the best one (Bonferroni). At one threshold the precisions that pass are those below a confidence bound.
    `everything` is the whole sample that was chosen for labelling. With it, the thresholds come from its scores, and
    labels are taken in the order they were given: the result is then valid after every label, as `certify` explains.
    """
    given = labels.deduplicated() if everything is not None else _shuffled(labels.deduplicated())
    thresholds = _ladder((everything or given).scores)
    level = (1 - confidence) / max(1, len(thresholds))
    scale = [each for each in SCALE if each < target]

    def certified(precision: float, threshold: float) -> bool:
        return isinstance(certify(given, precision, 1 - level, [threshold]), Certified)

    found = [
        _over(given, threshold, passed[-1])
        for threshold in thresholds
        if (passed := list(takewhile(partial(certified, threshold=threshold), scale)))
    ]
    return max(found, key=lambda each: each.precision, default=None)


def highest_reached(labels: Labels) -> Reached | None:
    """Return the highest measured precision of a threshold with at least ten labels over it; it certifies nothing."""
    given = labels.deduplicated()
    falling = np.sort(given.scores)[::-1]
    found = [_over(given, float(threshold)) for threshold in dict.fromkeys(falling[_FIRST - 1 :].tolist())]
    return max(found, key=lambda each: each.precision, default=None)


def _ladder(scores: NDArray[np.float64]) -> list[float]:
    falling, count, found = np.sort(scores)[::-1], _FIRST, list[float]()
    while count <= len(falling):
        found.append(float(falling[count - 1]))
        count *= _WIDER
    return list(dict.fromkeys(found))


def _shuffled(given: Labels) -> Labels:
    """Return labels in an order that is independent of their answers: the betting test assumes a random order."""
    return given.at(np.random.default_rng(len(given.scores)).permutation(len(given.scores)))


def _over(given: Labels, threshold: float, precision: float | None = None) -> Reached:
    """Return a threshold with the labels above it, and with their measured precision if none is given."""
    inside = given.scores >= threshold
    positive, weights = given.positive[inside], given.weights[inside]
    measured = float(np.average(positive, weights=weights)) if len(positive) else 0.0
    return Reached(measured if precision is None else precision, threshold, len(positive), int(positive.sum()))
