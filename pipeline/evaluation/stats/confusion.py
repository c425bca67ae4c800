"""Confusion counts, precision, recall and F1 of binary answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of binary answers against labels."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the flags that are right; None if there is no flag."""
        flagged = self.true_positives + self.false_positives
        return self.true_positives / flagged if flagged else None

    @property
    def recall(self) -> float | None:
        """Share of the positives that are flagged; None if there is no positive."""
        positives = self.true_positives + self.false_negatives
        return self.true_positives / positives if positives else None


def confusion(flagged: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> Confusion:
    """Count answers, bool [N], against labels, bool [N]."""
    return Confusion(
        int((flagged & relevant).sum()), int((flagged & ~relevant).sum()), int((~flagged & relevant).sum())
    )


def best_f1_threshold(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """
    Return the threshold with the highest F1, halfway between the scores it separates.

    It is a point estimate without a confidence, so a threshold chosen with it must be marked provisional.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + relevant.sum())
    best = int(np.argmax(f1))
    below = scores[order[best + 1]] if best + 1 < len(scores) else scores[order[best]] - 1
    return float((scores[order[best]] + below) / 2)
