"""Progress of long work, reported to a terminal, a page, or nobody."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


def one(_: object) -> int:
    """Return 1: each item counts once."""
    return 1


class Progress(Protocol):
    """
    An observer of an operation. Called by one thread, and never raises.

    `track` yields `items` unchanged and reports that `doing` (for example "judging") advances by `size` of each item,
    out of `total` where it is known. `working` reports that `doing` (for example "loading the model") goes on until the
    context ends. `notify` passes on a message for people that is not part of the result.
    """

    def track(
        self, items: Iterable[T], doing: str, total: int | None = None, size: Callable[[T], int] = one
    ) -> Iterator[T]: ...

    def working(self, doing: str) -> AbstractContextManager[object]: ...

    def notify(self, message: str) -> None: ...


class NoProgress:
    """An observer that reports nothing."""

    def track(
        self,
        items: Iterable[T],
        doing: str,  # noqa: ARG002 -- the protocol's
        total: int | None = None,  # noqa: ARG002 -- the protocol's
        size: Callable[[T], int] = one,  # noqa: ARG002 -- the protocol's
    ) -> Iterator[T]:
        """Yield the items."""
        yield from items

    def working(self, doing: str) -> AbstractContextManager[object]:  # noqa: ARG002 -- the protocol's
        """Return a context that does nothing."""
        return nullcontext()

    def notify(self, message: str) -> None:
        """Drop the message."""


NO_PROGRESS = NoProgress()
