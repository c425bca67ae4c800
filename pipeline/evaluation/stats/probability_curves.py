"""Map from raw score to probability: isotonic regression or Platt's logistic curve."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from pipeline.evaluation.stats.certification import Labels
from pipeline.events.calibration import Isotonic, Platt

FOLDS = 5
# Minimum number of labels of each answer: two for each fold.
LEAST = 2 * FOLDS
# Predictions are clipped this far from 0 and 1, where one wrong label would make the loss infinite.
_CERTAIN = 1e-4

Curve = Isotonic | Platt


@dataclass(frozen=True, slots=True)
class FittedCurve:
    """The curve with the lower loss, and the cross-validated mean log loss of each curve by its name."""

    curve: Curve
    losses: dict[str, float]


def fit_probability(labels: Labels) -> FittedCurve | None:
    """
    Fit both curves to weighted labels, and return the one with the lower log loss in cross-validation.

    Returns None when either answer has too few labels.
    """
    given = labels.deduplicated()
    if min(given.positive.sum(), (~given.positive).sum()) < LEAST:
        return None
    losses = {name: _loss(given, fit) for name, fit in _FITS.items()}
    best = min(losses, key=lambda name: losses[name])
    return FittedCurve(_FITS[best](given.scores, given.positive, given.weights), losses)


def _loss(labels: Labels, fit: Callable[..., Curve]) -> float:
    total = 0.0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=1)
    for inside, outside in folds.split(labels.scores[:, None], labels.positive):
        curve = fit(labels.scores[inside], labels.positive[inside], labels.weights[inside])
        chances = np.array([curve.probability(score) for score in labels.scores[outside]]).clip(_CERTAIN, 1 - _CERTAIN)
        losses = -np.log(np.where(labels.positive[outside], chances, 1 - chances))
        total += float((losses * labels.weights[outside]).sum())
    return total / float(labels.weights.sum())


def _isotonic(scores: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]) -> Isotonic:
    found = IsotonicRegression(y_min=0, y_max=1).fit(scores, right.astype(float), sample_weight=weights)
    knots = zip(found.X_thresholds_.tolist(), found.y_thresholds_.tolist(), strict=True)
    return Isotonic(tuple(knots))


def _platt(scores: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]) -> Platt:
    scaled = weights / weights.mean()
    found = LogisticRegression(C=1e6).fit(scores[:, None], right, sample_weight=scaled)
    return Platt(float(found.coef_[0, 0]), float(found.intercept_[0]))


_FITS: dict[str, Callable[..., Curve]] = {"isotonic": _isotonic, "platt": _platt}
