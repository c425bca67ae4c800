"""Linear head on embeddings, for harms that prompts do not separate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from pipeline.errors import UsageError

FOLDS = 5
# Inverse strength of the penalty on weights of unit embeddings, weakest last.
PENALTIES = (0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A head: `weights`, float64 [D], and `bias`. `average_precision` is cross-validated."""

    weights: NDArray[np.float64]
    bias: float
    average_precision: float


def fit_head(embeddings: NDArray[np.float32], positive: NDArray[np.bool_], clusters: NDArray[np.intp]) -> FittedHead:
    """
    Fit a logistic regression with equal weight for both answers, and the penalty that ranks held-out labels best.

    `embeddings`: float32 [N, D]; `positive`: bool [N]; `clusters`: int [N], never split between the sides of a fold.
    Raises `UsageError` with fewer than `FOLDS` clusters of either answer.
    """
    least = min(len(np.unique(clusters[positive])), len(np.unique(clusters[~positive])))
    if least < FOLDS:
        raise UsageError(f"{least} different images of the rarer answer are too few for a head; it takes {FOLDS}")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=1)
    found: list[tuple[float, float]] = []
    for penalty in PENALTIES:
        model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=2000)
        unseen = cross_val_predict(model, embeddings, positive, groups=clusters, cv=folds, method="decision_function")
        found.append((float(average_precision_score(positive, unseen)), penalty))
    best, penalty = max(found)
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=2000).fit(embeddings, positive)
    return FittedHead(model.coef_[0].astype(np.float64), float(model.intercept_[0]), best)
