"""Positions in a source file, and messages that point at them like a compiler's."""

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bounded import brief
from pipeline.visible import one_line, visible

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
MESSAGE_CHARACTERS = 500
# If a line is longer, only the part around the position is shown.
LINE_CHARACTERS = 160
_BEFORE_CHARACTERS = 60
_MOST_UNDERLINED = 80
# Comparing two names costs the product of their lengths, so the length and the number of compared names are limited.
_LONGEST_MEANT = 40
_MOST_MEANT = 50


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a file. Line and column count from 1; `width` is the number of characters to underline."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error at one position of a file."""

    path: Path
    position: Position
    message: str

    def show(self, lines: Sequence[str]) -> str:
        """Return `file:line:column: message`, and below it the line, out of the file's `lines`, with a caret."""
        line, column = self.position.line, self.position.column
        message = one_line(self.message[:MESSAGE_CHARACTERS])
        head = f"{one_line(self.path)}:{line}:{column}: {message}{'…' * (len(self.message) > MESSAGE_CHARACTERS)}"
        if not 0 < line <= len(lines):
            return head
        before, meant_text, after = _around(lines[line - 1], column - 1, self.position.width)
        gutter = f"{line:5} | "
        indent = "".join("\t" if c == "\t" else " " for c in before)
        carets = "^" * max(1, len(meant_text))
        return f"{head}\n{gutter}{before}{meant_text}{after}\n{' ' * (len(gutter) - 2)}| {indent}{carets}"


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, with YAML's line breaks."""
    return _BREAK.split(text)


def closest_match(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to an unknown one, or None."""
    if len(name) > _LONGEST_MEANT:
        return None
    alike = (each for each in known if abs(len(each) - len(name)) <= len(name) // 2 + 1 and len(each) <= _LONGEST_MEANT)
    near = difflib.get_close_matches(name, itertools.islice(alike, _MOST_MEANT), n=1)
    return brief(near[0]) if near else None


def _around(line: str, start: int, width: int) -> tuple[str, str, str]:
    """Return the parts of a line before, at and after a position, with special characters escaped."""
    stop = start + max(0, min(width, _MOST_UNDERLINED))
    if len(line) <= LINE_CHARACTERS:
        return visible(line[:start]), visible(line[start:stop]), visible(line[stop:])
    first, last = max(0, start - _BEFORE_CHARACTERS), max(stop, start - _BEFORE_CHARACTERS + LINE_CHARACTERS)
    before = f"{'…' * (first > 0)}{visible(line[first:start])}"
    return before, visible(line[start:stop]), f"{visible(line[stop:last])}{'…' * (last < len(line))}"
