"""Comparison of the two prompt scores, contrast and similarity, on labelled images of one policy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.confusion import Confusion, best_f1_threshold, confusion
from pipeline.events.policies import Policy


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """
    Figures of one policy on labelled images.

    `contrast_ap` and `similarity_ap` are the average precision of each score. `confusion` counts the answers at the
    policy's own `threshold`; `suggested` is the threshold of the best F1.
    """

    policy_id: str
    positives: int
    contrast_ap: float
    similarity_ap: float
    confusion: Confusion
    threshold: float
    suggested: float


def policy_figures(
    policy: Policy,
    contrast: NDArray[np.float64],
    similarity: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    relevant: NDArray[np.bool_],
) -> PolicyFigures:
    """Return the figures of a policy. Scores are float64 [N]; its answers and the labels are bool [N]."""
    return PolicyFigures(
        policy.id,
        positives=int(relevant.sum()),
        contrast_ap=average_precision(contrast, relevant),
        similarity_ap=average_precision(similarity, relevant),
        confusion=confusion(flagged, relevant),
        threshold=policy.threshold,
        suggested=best_f1_threshold(contrast, relevant),
    )
