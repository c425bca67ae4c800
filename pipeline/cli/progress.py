"""Progress of operations on a terminal."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.progress import Progress as Bars

from pipeline.cli.console import Lines, progress_output
from pipeline.progress import one

T = TypeVar("T")


class TerminalProgress:
    """Bars and notices on stderr; a bar vanishes when its work is done."""

    def track(
        self, items: Iterable[T], doing: str, total: int | None = None, size: Callable[[T], int] = one
    ) -> Iterator[T]:
        """Yield the items, and show a bar meanwhile."""
        with Bars(console=progress_output(), transient=True) as bars:
            task = bars.add_task(doing, total=total)
            for item in items:
                yield item
                bars.advance(task, size(item))

    def notify(self, message: str) -> None:
        """Print a notice."""
        progress_output().print(Lines(message))
