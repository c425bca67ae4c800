"""How long to wait before a dependency that failed is tried again."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between tries: twice as long each time, up to `longest_s`."""

    first_s: float
    longest_s: float

    def pauses(self) -> Iterator[float]:
        """Yield the pauses of one series of failures, in seconds, without end. A success begins a new series."""
        pause_s = self.first_s
        while True:
            yield pause_s
            pause_s = min(pause_s * 2, self.longest_s)
