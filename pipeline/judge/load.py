"""A folder of policy files to one policy set, all or nothing."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.errors import PolicyError
from pipeline.events.policies import Background, Mode, OnModelChange, PolicySet, ScoreKind
from pipeline.judge.policy import BackgroundFile, PolicyFile, compose
from pipeline.judge.positions import Position, Problem, locate

BACKGROUND = "background.yaml"
SHIPPED_BACKGROUND = Path(__file__).with_name(BACKGROUND)

FileT = TypeVar("FileT", bound=BaseModel)

_CHOICES = {
    "score": [kind.value for kind in ScoreKind],
    "mode": [mode.value for mode in Mode],
    "on_model_change": [change.value for change in OnModelChange],
    "severity": ["low", "medium", "high", "critical"],
}


def load_policy_set(folder: Path) -> PolicySet:
    """
    Read every `*.yaml` of `folder` as one set.

    A `background.yaml` there replaces the shipped background bank. Raises `PolicyError` that shows every mistake of
    every file, each as file:line:column with its line and a caret; nothing is loaded then.
    """
    if not folder.is_dir():
        raise PolicyError(f"`{folder}`: not a folder; name one with policy files, `--policies DIR`")
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != BACKGROUND)
    reports: list[str] = []
    found = {path: policy for path in paths if (policy := _read(path, PolicyFile, reports)) is not None}
    reports += _repeated_ids(found)
    background = _read_background(folder, reports)
    if reports:
        raise PolicyError("\n\n".join(reports))
    if not found:
        raise PolicyError(f"`{folder}`: no policy files; each `*.yaml` there is one policy")
    assert background is not None
    return compose([parsed.parse() for parsed in found.values()], background)


def _read_background(folder: Path, reports: list[str]) -> Background | None:
    path = folder / BACKGROUND
    parsed = _read(path if path.exists() else SHIPPED_BACKGROUND, BackgroundFile, reports)
    return parsed.parse() if parsed else None


def _repeated_ids(found: dict[Path, PolicyFile]) -> Iterator[str]:
    owners: dict[str, Path] = {}
    for path, parsed in found.items():
        if owners.setdefault(parsed.id, path) != path:
            text = path.read_text()
            position = locate(_parse_yaml(text), ("id",))
            message = f"`{parsed.id}` is already the id of {owners[parsed.id]}; choose another"
            yield Problem(path, position, message).show(text)


def _read(path: Path, model: type[FileT], reports: list[str]) -> FileT | None:
    """Read one file, or add what is wrong with it to `reports` and return None."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reports.append(f"{path}:1:1: cannot be read: {error}")
        return None
    try:
        document = _parse_yaml(text)
    except MarkedYAMLError as error:
        reports.append(_syntax_problem(path, error).show(text))
        return None
    except YAMLError as error:
        reports.append(f"{path}:1:1: {error}")
        return None
    if not isinstance(document, CommentedMap):
        message = "expected keys and values, such as `id: weapons.firearms`"
        reports.append(Problem(path, Position(1, 1), message).show(text))
        return None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        details = error.errors()
        misspelt = {
            _meant(str(d["loc"][-1]), _keys(model, d["loc"])) for d in details if d["type"] == "extra_forbidden"
        }
        # A key that is missing because it is misspelt is one mistake, not two.
        details = [d for d in details if d["type"] != "missing" or d["loc"][-1] not in misspelt]
        reports += [_problem(path, document, detail, model).show(text) for detail in details]
        return None


def _parse_yaml(text: str) -> Any:
    return YAML(typ="rt").load(text)


def _syntax_problem(path: Path, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    message = str(error.problem or error.context or "not YAML").splitlines()[0]
    return Problem(path, position, message)


def _problem(path: Path, document: CommentedMap, detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    place, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return Problem(path, locate(document, place, key=True), _unknown_key(str(place[-1]), _keys(model, place)))
    if kind == "missing":
        return Problem(path, locate(document, place[:-1]), f"key `{place[-1]}` is missing")
    return Problem(path, locate(document, place), _bad_value(place, detail))


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are known where `place` ends."""
    for step in place[:-1]:
        inner = model.model_fields[str(step)].annotation
        assert isinstance(inner, type)
        model = inner
    return list(model.model_fields)


def _meant(key: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(key, known, n=1)
    return close[0] if close else None


def _unknown_key(key: str, known: list[str]) -> str:
    meant = _meant(key, known)
    hint = f"did you mean `{meant}`?" if meant else f"known keys are {', '.join(f'`{name}`' for name in known)}"
    return f"unknown key `{key}`, {hint}"


def _bad_value(place: tuple[int | str, ...], detail: ErrorDetails) -> str:
    name = ".".join(str(step) for step in place)
    choices = _CHOICES.get(name)
    if choices:
        meant = _meant(str(detail["input"]), choices)
        hint = f", did you mean `{meant}`?" if meant else f"; it is one of {', '.join(f'`{c}`' for c in choices)}"
        return f"`{detail['input']}` is not a value of `{name}`{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"`{name}`: {message[0].lower()}{message[1:]}"
