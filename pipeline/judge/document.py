"""One YAML file of a policy folder, with the places of all it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.judge.positions import Position, Problem, locate

Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text and its content, keys and values."""

    path: Path
    text: str
    content: CommentedMap

    def position(self, place: Place, *, key: bool = False) -> Position:
        """Return where a place of the content stands; with `key`, the key itself."""
        return locate(self.content, place, key=key)

    def report(self, place: Place, message: str, *, key: bool = False) -> str:
        """Return a message about a place of the content, shown as a compiler does; with `key`, about the key itself."""
        return Problem(self.path, self.position(place, key=key), message).show(self.text)


def read_document(path: Path, reports: list[str]) -> Document | None:
    """Read one file, or add what is wrong with it to `reports` and return None."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reports.append(f"{path}:1:1: cannot be read: {error}")
        return None
    try:
        content: Any = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        reports.append(_syntax_problem(path, error).show(text))
        return None
    except YAMLError as error:
        reports.append(f"{path}:1:1: {error}")
        return None
    if not isinstance(content, CommentedMap):
        message = "expected keys and values, such as `id: weapons.firearms`"
        reports.append(Problem(path, Position(1, 1), message).show(text))
        return None
    return Document(path, text, content)


def _syntax_problem(path: Path, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    message = str(error.problem or error.context or "not YAML").splitlines()[0]
    return Problem(path, position, message)
