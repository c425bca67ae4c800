"""Two functions timed alternately, so that other work on the machine affects both."""

import time
from collections.abc import Callable

import numpy as np


def paired(ours: Callable[[], object], bare: Callable[[], object], rounds: int = 41) -> tuple[float, float]:
    """Return the median ratio of two functions timed alternately, and the median time of the first, in seconds."""
    ratios, times = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        ours()
        between = time.perf_counter()
        bare()
        ended = time.perf_counter()
        ratios.append((between - started) / (ended - between))
        times.append(between - started)
    return float(np.median(ratios)), float(np.median(times))
