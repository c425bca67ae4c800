"""Deadline of one reference, for all its steps, and name look-ups that respect it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

Clock = Callable[[], float]
Resolve = Callable[[str, int], list[str]]

# A resolver gives up after half a minute, three times the default deadline of a reference. This number allows three
# hanging look-ups for each of the default 16 fetching threads, and some more.
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
    """The deadline of the calling thread's current reference, for code that the HTTP client calls."""

    _deadline: Deadline | None = None

    @contextmanager
    def of(self, deadline: Deadline) -> Iterator[None]:
        """Set the deadline for the duration of the context."""
        self._deadline = deadline
        try:
            yield
        finally:
            self._deadline = None

    def left(self) -> float:
        """Return the seconds left. Raises `DeadlinePassed`, also outside the context of `of`."""
        if self._deadline is None:
            raise DeadlinePassed
        return self._deadline.left()


class Lookups:
    """
    Looks names up in separate threads, so that a slow answer delays no caller beyond the deadline.

    A look-up cannot be stopped. It continues in a daemon thread until the system's resolver gives up. At most `limit`
    look-ups run at a time; a caller above the limit waits for a free thread until its deadline.
    """

    def __init__(self, resolve: Resolve, *, limit: int = LOOKUPS) -> None:
        self._resolve = resolve
        self._slots = threading.BoundedSemaphore(limit)

    def find(self, host: str, port: int, left: Callable[[], float]) -> list[str]:
        """Return the addresses of a host. Raises `DeadlinePassed`, `OSError` and the errors of `resolve`."""
        if not self._slots.acquire(timeout=left()):
            raise DeadlinePassed
        answer: Future[list[str]] = Future()
        try:
            threading.Thread(target=self._look_up, args=(host, port, answer), name="look-up", daemon=True).start()
        except RuntimeError as error:  # no more threads can be started
            self._slots.release()
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
            self._slots.release()
