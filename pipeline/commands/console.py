"""Where commands print: wide when piped, so that a table's rows stay one line each."""

import math
import sys
from collections.abc import Collection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.errors import UsageError
from pipeline.evaluate.intervals import Interval

PIPED_WIDTH = 200


def output() -> Console:
    """Return the console of results, on stdout."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, soft_wrap=True)


def progress_output() -> Console:
    """Return the console of progress, on stderr."""
    return Console(stderr=True, soft_wrap=True)


def require_format(given: str, known: Collection[str]) -> None:
    """Raise `UsageError` unless a command has this `--format`."""
    if given not in known:
        raise UsageError(f"`--format {given}`: it is {' or '.join(f'`{each}`' for each in known)}")


def require_new_folder(folder: Path) -> None:
    """Raise `UsageError` when something would be written over."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"`{folder}` is not empty; name a new folder")


def share(value: float | None) -> str:
    """Return a share for people; None is one that has no meaning."""
    return "–" if value is None else f"{value:.2f}"


def interval(value: Interval, *, signed: bool = False) -> str:
    """Return a measured share and its interval for people; `signed`, a change."""
    if math.isnan(value.value):
        return "–"
    sign = "+" if signed else ""
    return f"{value.value:{sign}.2f} ({value.lower:{sign}.2f} to {value.upper:{sign}.2f})"


def plain_table(*columns: str) -> Table:
    """Return a table without a frame, one row a line."""
    return Table(*columns, box=None, pad_edge=False)
