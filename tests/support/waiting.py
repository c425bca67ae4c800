"""Wait for a condition with a deadline."""

import threading
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], timeout_s: float, what: str, interval_s: float = 0.1) -> None:
    """Return once `condition` is true. Raises `TimeoutError`, which names `what`, if that takes too long."""
    clock, deadline = threading.Event(), time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        clock.wait(interval_s)
