"""Retries of a dependency, with pauses that grow from failure to failure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import WatchwordError

AnswerT = TypeVar("AnswerT")


class Abandoned(Exception):
    """The answer is no longer needed."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between tries: twice as long each time, up to `longest_s`."""

    first_s: float
    longest_s: float

    def pauses(self) -> Iterator[float]:
        """Yield the pauses of one series of failures, in seconds, without end."""
        pause_s = self.first_s
        while True:
            yield pause_s
            pause_s = min(pause_s * 2, self.longest_s)


class Retry:
    """
    Tries of one dependency, used by one thread.

    `wait` waits for a number of seconds, or less when it is interrupted. `report` logs and counts a failure and the
    pause that follows it.
    """

    def __init__(
        self,
        backoff: Backoff,
        wait: Callable[[float], object],
        report: Callable[[WatchwordError, float], object],
    ) -> None:
        self._backoff, self._wait, self._report = backoff, wait, report
        self._pauses = backoff.pauses()

    def failed(self, fault: WatchwordError) -> None:
        """Report a failure and wait, longer after each one in a row."""
        pause_s = next(self._pauses)
        self._report(fault, pause_s)
        self._wait(pause_s)

    def succeeded(self) -> None:
        """End the series of failures: the next pause is the shortest again."""
        self._pauses = self._backoff.pauses()

    def call(
        self,
        dependent: Callable[[], AnswerT],
        faults: type[WatchwordError],
        abandoned: Callable[[], bool] = lambda: False,
    ) -> AnswerT:
        """
        Return the answer of `dependent`, called until it does not raise one of `faults`.

        Raises `Abandoned` once `abandoned` returns true between two tries.
        """
        while not abandoned():
            try:
                return dependent()
            except faults as fault:
                self.failed(fault)
        raise Abandoned
