"""Places in a YAML file, and messages that point at them as a compiler does."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1, `width` is how many characters to underline."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file."""

    path: Path
    position: Position
    message: str

    def show(self, text: str) -> str:
        """Return `file:line:column: message` with the line and a caret under it."""
        lines = text.splitlines()
        head = f"{self.path}:{self.position.line}:{self.position.column}: {self.message}"
        if not 0 < self.position.line <= len(lines):
            return head
        line = lines[self.position.line - 1]
        width = max(1, min(self.position.width, len(line) - self.position.column + 1))
        gutter = f"{self.position.line:5} | "
        indent = "".join("\t" if c == "\t" else " " for c in line[: self.position.column - 1])
        return f"{head}\n{gutter}{line}\n{' ' * (len(gutter) - 2)}| {indent}{'^' * width}"


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return what was meant by a name that is not known, if one that is comes near."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def locate(document: Any, path: tuple[int | str, ...], *, key: bool = False) -> Position:
    """
    Return where `path` stands in a document that ruamel.yaml read with positions.

    With `key` the key itself is meant, not its value. A path that leaves the document ends at its last known place.
    """
    position = Position(1, 1)
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(document, CommentedMap) and step in document:
            mark = document.lc.key(step) if key and last else document.lc.value(step)
            shown = step if key and last else document[step]
        elif isinstance(document, CommentedSeq) and isinstance(step, int) and step < len(document):
            mark, shown = document.lc.item(step), document[step]
        else:
            break
        width = len(str(shown)) if not isinstance(shown, CommentedMap | CommentedSeq) else 1
        position = Position(mark[0] + 1, mark[1] + 1, max(1, width))
        document = document[step]
    return position
