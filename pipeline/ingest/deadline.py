"""One deadline for everything that one reference takes, and name look-ups that keep to it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

Clock = Callable[[], float]
Resolve = Callable[[str, int], list[str]]

# A resolver gives up after half a minute, three times the default deadline of a reference: this is room for three
# look-ups that hang for each of the default 16 fetching threads.
LOOKUPS = 64


class DeadlinePassed(Exception):
    """The deadline of a reference has passed."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time by `clock`."""

    at: float
    clock: Clock

    def left(self) -> float:
        """Return the seconds left, more than 0. Raises `DeadlinePassed`."""
        left = self.at - self.clock()
        if left <= 0:
            raise DeadlinePassed
        return left


class CurrentDeadline(threading.local):
    """The deadline of what the calling thread is fetching, for code that only the HTTP client calls."""

    _deadline: Deadline | None = None

    @contextmanager
    def of(self, deadline: Deadline) -> Iterator[None]:
        """Hold a deadline over the body."""
        self._deadline = deadline
        try:
            yield
        finally:
            self._deadline = None

    def left(self) -> float:
        """Return the seconds left. Raises `DeadlinePassed`, outside `of` as well."""
        if self._deadline is None:
            raise DeadlinePassed
        return self._deadline.left()


class Lookups:
    """
    Looks names up in threads of its own, so that a slow answer holds up nobody past the deadline.

    A look-up cannot be stopped. It goes on in a daemon thread until the system's resolver gives up; at most `limit`
    do at a time, and whoever finds no room waits for it until the deadline.
    """

    def __init__(self, resolve: Resolve, *, limit: int = LOOKUPS) -> None:
        self._resolve = resolve
        self._room = threading.BoundedSemaphore(limit)

    def find(self, host: str, port: int, left: Callable[[], float]) -> list[str]:
        """Return the addresses of a host. Raises `DeadlinePassed`, `OSError` and what `resolve` raises."""
        if not self._room.acquire(timeout=left()):
            raise DeadlinePassed
        answer: Future[list[str]] = Future()
        try:
            threading.Thread(target=self._look_up, args=(host, port, answer), name="look-up", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            self._room.release()
            raise OSError(str(error)) from error
        try:
            return answer.result(timeout=left())
        except TimeoutError as error:
            raise DeadlinePassed from error

    def _look_up(self, host: str, port: int, answer: "Future[list[str]]") -> None:
        try:
            answer.set_result(self._resolve(host, port))
        except Exception as error:  # noqa: BLE001 -- raised again in the thread that waits for the answer
            answer.set_exception(error)
        finally:
            self._room.release()
