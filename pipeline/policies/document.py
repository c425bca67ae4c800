"""One YAML file of a policy folder, with the places of all it says."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pipeline.bounded import read_regular, why
from pipeline.policies.diagnostics import Diagnostic, Position, lines_of
from pipeline.policies.reports import Reports
from pipeline.policies.tree import Entries, Keys, NotYaml, parse_tree
from pipeline.visible import one_line

MOST_BYTES = 1 << 20

Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Document:
    """A file's text and its content, keys and values."""

    path: Path
    text: str
    content: Keys

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return lines_of(self.text)

    def position(self, place: Place, *, key: bool = False) -> Position:
        """Return where a place of the content stands; with `key`, the key itself."""
        return _locate(self.content, place, key=key)

    def report(self, place: Place, message: str, *, key: bool = False) -> str:
        """Return a message about a place of the content, shown as a compiler does; with `key`, about the key itself."""
        return Diagnostic(self.path, self.position(place, key=key), message).show(self.lines)


def read_document(path: Path, reports: Reports) -> Document | None:
    """Read one file, or add what is wrong with it to `reports` and return None; nothing it holds raises."""
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        reports.add(path, "file", partial(_unread, path, why(error)))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reports.add(path, "file", partial(_undecoded, path, data, error.start))
        return None
    try:
        tree = parse_tree(text)
    except NotYaml as error:
        reports.add(path, "file", partial(_shown, path, text, error.position, error.message))
        return None
    except Exception as error:  # noqa: BLE001 -- a parser's own fault with a file is shown as the file's
        message = f"cannot be read as YAML: {type(error).__name__}: {error}"
        reports.add(path, "file", partial(_shown, path, text, Position(1, 1), message))
        return None
    for position, message in tree.mistakes:
        reports.add(path, position, partial(_shown, path, text, position, message))
    if not isinstance(tree.root, Keys):
        message = "expected keys and values, such as `id: weapons.firearms`"
        reports.add(path, "file", partial(_shown, path, text, Position(1, 1), message))
        return None
    return Document(path, text, tree.root)


def _locate(tree: Any, place: tuple[int | str, ...], *, key: bool = False) -> Position:
    """
    Return where `place` stands in a tree.

    With `key` the key itself is meant, not its value. A place that leaves the tree ends at its last known part.
    """
    position = Position(1, 1)
    for depth, step in enumerate(place):
        if isinstance(tree, Keys) and isinstance(step, str) and step in tree:
            of_key, of_value = tree.places[step]
            position = of_key if key and depth == len(place) - 1 else of_value
            tree = tree[step]
        elif isinstance(tree, Entries) and isinstance(step, int) and step < len(tree):
            position, tree = tree.places[step], tree[step]
        else:
            break
    return position


def _unread(path: Path, reason: str) -> str:
    return f"{one_line(path)}:1:1: cannot be read: {reason}"


def _undecoded(path: Path, data: bytes, at: int) -> str:
    lines = lines_of(data[:at].decode("utf-8-sig"))
    place = Position(len(lines), len(lines[-1]) + 1)
    return Diagnostic(path, place, f"byte 0x{data[at]:02x} is not UTF-8; save the file as UTF-8").show([])


def _shown(path: Path, text: str, position: Position, message: str) -> str:
    return Diagnostic(path, position, message).show(lines_of(text))
