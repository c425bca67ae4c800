"""How well a score ranks: average precision."""

import numpy as np
from numpy.typing import NDArray


def average_precision(scores: NDArray[np.floating], relevant: NDArray[np.bool_]) -> float:
    """
    Return the average precision of `scores`, float [N], for the images marked `relevant`, bool [N].

    The mean, over relevant images, of the precision at their rank; images of one score share a rank, so that ties
    do not flatter (the step-wise area under the precision-recall curve). NaN without a relevant image.
    """
    if not relevant.any():
        return float("nan")
    return float(weighted_average_precision(np.ones((1, len(scores))), scores, relevant)[0])


def weighted_average_precision(
    weights: NDArray[np.float64], scores: NDArray[np.floating], relevant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the average precision when images count so often, float64 [R, N]: float64 [R], NaN as above."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    counts = np.cumsum(weights[:, order], axis=1)[:, last_of_tie]
    hits = np.cumsum(weights[:, order] * relevant[order], axis=1)[:, last_of_tie]
    with np.errstate(invalid="ignore"):
        precision = np.where(counts > 0, hits / counts, 0.0)
        gained = np.diff(hits, prepend=0, axis=1)
        return np.asarray((precision * gained).sum(axis=1) / hits[:, -1])
