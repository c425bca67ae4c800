"""Commit progress of a worker, and the size of its chunks."""

import time
from collections.abc import Callable


class CommitProgress:
    """Seconds since the last commit. Time without anything to commit does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self.commits = 0

    def committed(self) -> None:
        """Note a commit."""
        self.commits += 1
        self._since = self._clock()

    def measure(self, *, busy: bool) -> None:
        """Note whether there is anything to commit."""
        if not busy:
            self._since = None
        elif self._since is None:
            self._since = self._clock()

    def stalled_s(self) -> float:
        """Return seconds since the last commit, or since there was something to commit; 0 when there is nothing."""
        since = self._since
        return 0.0 if since is None else self._clock() - since


class ChunkSize:
    """
    The largest chunk to poll: half of one that could not be committed in time, and twice as much after each commit.

    A chunk of one record is the smallest.
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._most_records, self._most_bytes = max_records, max_bytes
        self.records, self.size_bytes = max_records, max_bytes

    def halve(self, records: int, size_bytes: int) -> None:
        """Allow half of a chunk that was too large."""
        self.records = max(1, min(self.records, records // 2))
        self.size_bytes = max(1, min(self.size_bytes, size_bytes // 2))

    def widen(self) -> None:
        """Allow twice as much, up to the configured size."""
        self.records = min(self._most_records, 2 * self.records)
        self.size_bytes = min(self._most_bytes, 2 * self.size_bytes)
