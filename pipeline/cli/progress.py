"""Display of the progress of operations, on stderr."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.progress import Progress as Bars

from pipeline.cli.console import Lines, progress_output
from pipeline.progress import one

T = TypeVar("T")


class TerminalProgress:
    """Bars, spinners and notices on stderr. Bars and spinners appear only on a terminal, while their work lasts."""

    def __init__(self) -> None:
        # One console, so that a notice is printed above the bars instead of inside them.
        self._console = progress_output()

    def track(
        self, items: Iterable[T], doing: str, total: int | None = None, size: Callable[[T], int] = one
    ) -> Iterator[T]:
        """Yield the items, and show a bar meanwhile."""
        with Bars(console=self._console, transient=True, disable=not self._console.is_terminal) as bars:
            task = bars.add_task(doing, total=total)
            for item in items:
                yield item
                bars.advance(task, size(item))

    def working(self, doing: str) -> AbstractContextManager[object]:
        """Show a spinner until the context ends."""
        return self._console.status(f"{doing} …")

    def notify(self, message: str) -> None:
        """Print a notice."""
        self._console.print(Lines(message))
