"""Breaker that stops a worker before a broken producer turns its topic into dead letters."""

from collections import deque
from collections.abc import Callable

from pipeline.errors import DeadLetterLimit


class DeadLetterBreaker:
    """Watches the share of dead letters over a sliding window of time."""

    def __init__(
        self, *, share: float, window_s: float, minimum: int, override: bool, clock: Callable[[], float]
    ) -> None:
        self._share = share
        self._window_s = window_s
        self._minimum = minimum
        self._override = override
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque()

    def check(self, records: int, dead_letters: int) -> None:
        """
        Raise `DeadLetterLimit` when committing a chunk would pass the limit; call before it commits.

        The limit is passed when the window, this chunk included, has at least `minimum` dead letters and more than
        `share` of its records are dead letters.
        """
        now = self._clock()
        while self._seen and self._seen[0][0] < now - self._window_s:
            self._seen.popleft()
        total = records + sum(entry[1] for entry in self._seen)
        dead = dead_letters + sum(entry[2] for entry in self._seen)
        if not self._override and dead >= max(self._minimum, 1) and dead > self._share * total:
            raise DeadLetterLimit(
                f"{dead} of the last {total} records cannot be judged, more than the allowed share {self._share}; "
                "nothing of this chunk was committed. Look at their reasons in the log, mend the producer, or set "
                "WATCHWORD_ALLOW_DEAD_LETTERS=true to let them through"
            )

    def note(self, records: int, dead_letters: int) -> None:
        """Note a committed chunk."""
        self._seen.append((self._clock(), records, dead_letters))
