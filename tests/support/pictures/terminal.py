"""A terminal as an SVG: commands that were run, with their output."""

import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 114
# Rich has the fonts fetched from a server; without these rules a viewer takes its own monospace font.
_FETCHED_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """A command as a person types it, and what it printed."""

    words: tuple[str, ...]
    output: str


def write_terminal(file: Path, runs: list[Run]) -> None:
    """Write the picture of a terminal."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for number, run in enumerate(runs):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (shlex.join(run.words), "bold")))
        for line in run.output.rstrip().splitlines():
            console.print(Text(line), soft_wrap=True)
    svg = _FETCHED_FONTS.sub("", console.export_svg(title="watchword", unique_id="watchword"))
    assert "url(http" not in svg
    file.write_text(svg)
