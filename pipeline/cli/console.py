"""Consoles for results and for progress. Data is printed as plain text, and each row of a piped table is one line."""

import math
import sys
from collections.abc import Collection
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, ConsoleRenderable, JustifyMethod, OverflowMethod, RichCast
from rich.style import Style
from rich.table import Table
from rich.text import Text

from pipeline.errors import UsageError
from pipeline.visible import json_for, json_text, one_line, visible

if TYPE_CHECKING:
    from pipeline.evaluation.stats.intervals import Interval

PIPED_WIDTH = 200


class Lines(str):
    """Text of several lines, whose line breaks are kept."""

    __slots__ = ()


class PlainConsole(Console):
    """
    A console that prints a string as one line of data: no markup, no emoji codes, no terminal control characters.

    Pass text of several lines as `Lines`, and styled text as `rich.text.Text`.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; one that rich cannot render is printed as its string."""
        known = (str, Text, ConsoleRenderable, RichCast)
        super().print(*(each if isinstance(each, known) else str(each) for each in objects), **options)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        **_: Any,
    ) -> Text:
        """Return the text with control characters escaped; markup and emoji codes in it have no effect."""
        shown = visible(text) if isinstance(text, Lines) else one_line(text)
        return Text(shown, style=style, justify=justify, overflow=overflow)


def output() -> Console:
    """Return the console for results, on stdout."""
    _escape_unencodable(sys.stdout)
    return PlainConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, soft_wrap=True)


def progress_output() -> Console:
    """Return the console for progress, on stderr."""
    _escape_unencodable(sys.stderr)
    return PlainConsole(stderr=True, highlight=False, soft_wrap=True)


def _escape_unencodable(output: TextIO) -> None:
    """Make an output that is not UTF-8 escape the characters it cannot encode, including those that rich adds."""
    if isinstance(output, TextIOWrapper) and not output.encoding.lower().startswith("utf"):
        output.reconfigure(errors="backslashreplace")


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value to stdout as JSON, on one line unless it is indented."""
    print_line(json_text(value, indent=indent))


def print_line(text: str) -> None:
    """Print JSON to stdout as it is, and flush: its reader may be waiting for it."""
    sys.stdout.write(json_for(sys.stdout.encoding, text) + "\n")
    sys.stdout.flush()


def require_format(given: str, known: Collection[str]) -> None:
    """Raise `UsageError` unless `given` is one of a command's formats."""
    if given not in known:
        raise UsageError(f"`--format {given}`: choose {' or '.join(f'`{each}`' for each in known)}")


def require_new_folder(folder: Path) -> None:
    """Raise `UsageError` when a folder has files that would be overwritten."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"`{folder}` is not empty; choose a new folder")


def share(value: float | None) -> str:
    """Return a share as text; None stands for an undefined share."""
    return "–" if value is None else f"{value:.2f}"


def interval(value: "Interval", *, signed: bool = False) -> str:
    """Return a measured share and its interval as text, with signs if it is a change."""
    if math.isnan(value.value):
        return "–"
    sign = "+" if signed else ""
    return f"{value.value:{sign}.2f} ({value.lower:{sign}.2f} to {value.upper:{sign}.2f})"


def plain_table(*columns: str) -> Table:
    """Return a table without a frame, with one line for each row."""
    return Table(*columns, box=None, pad_edge=False)
