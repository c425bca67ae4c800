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
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    precision = hits[last_of_tie] / (np.flatnonzero(last_of_tie) + 1)
    gained = np.diff(hits[last_of_tie], prepend=0)
    return float((precision * gained).sum() / relevant.sum())
