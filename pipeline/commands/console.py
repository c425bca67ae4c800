"""Where commands print: wide when piped, so that a table's rows stay one line each."""

import sys

from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 200


def output() -> Console:
    """Return the console of results, on stdout."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, soft_wrap=True)


def progress_output() -> Console:
    """Return the console of progress, on stderr."""
    return Console(stderr=True)


def plain_table(*columns: str) -> Table:
    """Return a table without a frame, one row a line."""
    return Table(*columns, box=None, pad_edge=False)
