"""Confusion counts, precision, recall and F1 of binary answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.stats.average_precision import average_precision


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of one policy's yes and no against labels."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """The share of flags that are right; None without a flag."""
        flagged = self.true_positives + self.false_positives
        return self.true_positives / flagged if flagged else None

    @property
    def recall(self) -> float | None:
        """The share of what should be flagged that is; None when nothing should be."""
        wanted = self.true_positives + self.false_negatives
        return self.true_positives / wanted if wanted else None


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy on a labelled split. `suggested` is the threshold of the best F1; AP is average precision."""

    policy_id: str
    positives: int
    contrast_ap: float
    similarity_ap: float
    confusion: Confusion
    suggested: float


def confusion(flagged: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> Confusion:
    """Count bool [N] answers against bool [N] labels."""
    return Confusion(
        int((flagged & relevant).sum()), int((flagged & ~relevant).sum()), int((~flagged & relevant).sum())
    )


def figures(
    policy_id: str,
    contrast: NDArray[np.float64],
    similarity: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    relevant: NDArray[np.bool_],
) -> PolicyFigures:
    """Return one policy's figures from its scores of both kinds, float64 [N], and labels, bool [N]."""
    return PolicyFigures(
        policy_id,
        int(relevant.sum()),
        average_precision(contrast, relevant),
        average_precision(similarity, relevant),
        confusion(flagged, relevant),
        best_f1_threshold(contrast, relevant),
    )


def best_f1_threshold(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """
    Return the threshold with the highest F1, halfway between the scores it separates.

    A point estimate without a confidence: good enough to start from, to be marked provisional.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + relevant.sum())
    best = int(np.argmax(f1))
    below = scores[order[best + 1]] if best + 1 < len(scores) else scores[order[best]] - 1
    return float((scores[order[best]] + below) / 2)
