"""Average precision of a ranking."""

import numpy as np
from numpy.typing import NDArray


def average_precision(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> float:
    """
    Return the average precision of `scores`, float [N], for the images marked `relevant`, bool [N].

    The mean precision at the ranks of the relevant images: the step-wise area under the precision-recall curve. Images
    of equal score share a rank, so that the order of ties does not count. NaN without a relevant image.
    """
    if not relevant.any():
        return float("nan")
    return float(weighted_average_precision(np.ones((1, len(scores))), scores, relevant)[0])


def weighted_average_precision(
    weights: NDArray[np.float64], scores: NDArray[np.floating], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return average precisions, float64 [R], NaN as above; `weights`, float64 [R, N], are the counts of each image."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    counts = np.cumsum(weights[:, order], axis=1)[:, last_of_tie]
    hits = np.cumsum(weights[:, order] * relevant[order], axis=1)[:, last_of_tie]
    with np.errstate(invalid="ignore"):
        precision = np.where(counts > 0, hits / counts, 0.0)
        gained = np.diff(hits, prepend=0, axis=1)
        return np.asarray((precision * gained).sum(axis=1) / hits[:, -1])
