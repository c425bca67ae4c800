"""Tables of texts in YAML: captions, paraphrases and terms for people, bounded as policy files are."""

from pathlib import Path
from typing import Any

from pipeline.bounded import read_regular, why
from pipeline.errors import UsageError
from pipeline.policies.source import Diagnostic, Position, lines_of
from pipeline.policies.tree import Entries, Keys, NotYaml, parse_tree
from pipeline.visible import one_line

MOST_BYTES = 4 << 20
# A table has a key for each category, and ImageNet alone has 21,841 of them.
MOST_CATEGORIES = 40_000


def read_table(path: Path) -> Keys:
    """Return the mapping in a YAML file; an empty file has none. Raises `UsageError` with the position of a mistake."""
    text = _read(path)
    try:
        tree = parse_tree(text, MOST_CATEGORIES)
    except NotYaml as error:
        raise _mistake(path, text, error.position, error.message) from error
    for position, message in tree.mistakes:
        raise _mistake(path, text, position, message)
    if tree.root is None:
        return Keys()
    if not isinstance(tree.root, Keys):
        raise UsageError(f"`{one_line(path)}`: expected keys and values")
    return tree.root


def texts_by_key(path: Path, table: Any) -> dict[str, tuple[str, ...]]:
    """Return a list of texts for each key of a table read from `path`. Raises `UsageError` for anything else."""
    if not isinstance(table, Keys):
        raise UsageError(f"`{one_line(path)}`: expected keys, each with a list of texts")
    return {key: texts_of(path, key, value) for key, value in table.items()}


def texts_of(path: Path, key: str, value: Any) -> tuple[str, ...]:
    """Return the texts in a list. Raises `UsageError` unless the value is a non-empty list that contains only texts."""
    if not isinstance(value, Entries) or not value or not all(isinstance(each, str) for each in value):
        raise UsageError(f"`{one_line(path)}`: expected a list of texts for `{one_line(key)}`; numbers need quotes")
    return tuple(value)


def _read(path: Path) -> str:
    try:
        return read_regular(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"`{one_line(path)}`: cannot be read: {why(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"`{one_line(path)}`: not UTF-8; save the file as UTF-8") from error


def _mistake(path: Path, text: str, position: Position, message: str) -> UsageError:
    return UsageError(Diagnostic(path, position, message).show(lines_of(text)))
