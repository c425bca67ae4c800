"""Documents: the YAML files of a policy folder, with the position of every node."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pipeline.bounded import read_regular, why
from pipeline.policies.diagnostics import Diagnostics, NodePath
from pipeline.policies.source import Diagnostic, Position, lines_of
from pipeline.policies.tree import Entries, Keys, NotYaml, parse_tree
from pipeline.visible import one_line

MOST_BYTES = 1 << 20


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

    def written_at(self, node_path: NodePath) -> tuple["Document", NodePath]:
        """Return this document and the same path: a document contains its own nodes."""
        return self, node_path

    def position(self, node_path: NodePath, *, key: bool = False) -> Position:
        """Return the position of a node of the content; with `key`, of its key."""
        return _locate(self.content, node_path, key=key)

    def report(self, node_path: NodePath, message: str, *, key: bool = False) -> str:
        """Return a message that points at a node of the content; with `key`, at its key."""
        return Diagnostic(self.path, self.position(node_path, key=key), message).show(self.lines)


def read_document(path: Path, diagnostics: Diagnostics) -> Document | None:
    """Return the document of a file, or add its errors to `diagnostics` and return None. Never raises for content."""
    text = _read_text(path, diagnostics)
    if text is None:
        return None
    try:
        tree = parse_tree(text)
    except NotYaml as error:
        diagnostics.file_error(path, partial(_shown, path, text, error.position, error.message))
        return None
    except Exception as error:  # noqa: BLE001 -- a crash of the parser is shown as an error of the file
        message = f"cannot be read as YAML: {type(error).__name__}: {error}"
        diagnostics.file_error(path, partial(_shown, path, text, Position(1, 1), message))
        return None
    for position, message in tree.mistakes:
        at = (position.line, position.column)
        diagnostics.file_error(path, partial(_shown, path, text, position, message), kind="parsing", at=at)
    if not isinstance(tree.root, Keys):
        message = "expected keys and values, such as `id: weapons.firearms`"
        diagnostics.file_error(path, partial(_shown, path, text, Position(1, 1), message))
        return None
    return Document(path, text, tree.root)


def _read_text(path: Path, diagnostics: Diagnostics) -> str | None:
    try:
        data = read_regular(path, MOST_BYTES)
    except OSError as error:
        diagnostics.file_error(path, partial(_unread, path, why(error)))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        diagnostics.file_error(path, partial(_undecoded, path, data, error.start))
        return None


def _locate(tree: Any, node_path: NodePath, *, key: bool = False) -> Position:
    """
    Return the position of a node of a tree; with `key`, of its key.

    For a path that leaves the tree, return the position of its last node in the tree.
    """
    position = Position(1, 1)
    for depth, step in enumerate(node_path):
        if isinstance(tree, Keys) and isinstance(step, str) and step in tree:
            of_key, of_value = tree.positions[step]
            position = of_key if key and depth == len(node_path) - 1 else of_value
            tree = tree[step]
        elif isinstance(tree, Entries) and isinstance(step, int) and step < len(tree):
            position, tree = tree.positions[step], tree[step]
        else:
            break
    return position


def _unread(path: Path, reason: str) -> str:
    return f"{one_line(path)}:1:1: cannot be read: {reason}"


def _undecoded(path: Path, data: bytes, at: int) -> str:
    lines = lines_of(data[:at].decode("utf-8-sig"))
    position = Position(len(lines), len(lines[-1]) + 1)
    return Diagnostic(path, position, f"byte 0x{data[at]:02x} is not UTF-8; save the file as UTF-8").show([])


def _shown(path: Path, text: str, position: Position, message: str) -> str:
    return Diagnostic(path, position, message).show(lines_of(text))
