"""Threshold for a queue of limited length."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError


def queue_threshold(scores: NDArray[np.float64], images_per_day: float, flags_per_day: float) -> tuple[float, int]:
    """
    Return the lowest threshold that flags at most `flags_per_day` images, and the number of `scores` it flags.

    `scores`: float64 [N], of a plain sample of the stream. Raises `UsageError` when the sample is too small to tell.
    """
    flags = math.floor(len(scores) * flags_per_day / images_per_day)
    if flags < 1:
        needed = math.ceil(images_per_day / flags_per_day)
        raise UsageError(
            f"{len(scores)} images are too few: {flags_per_day:g} of {images_per_day:g} a day are one in {needed}; "
            f"give at least {10 * needed}"
        )
    falling = np.sort(scores)[::-1]
    if flags >= len(falling):
        return float(falling[-1]), len(falling)
    return float(falling[flags - 1] + falling[flags]) / 2, flags
