"""Messages for validation errors: each names the key, the problem and the remedy."""

import itertools
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.bounded import brief
from pipeline.policies.diagnostics import MOST_OF_A_FILE, Diagnostics, NodePath
from pipeline.policies.resolve import Resolved
from pipeline.policies.source import closest_match

_VALUE_CHARACTERS = 60
_MESSAGE_CHARACTERS = 400


def add_all(error: ValidationError, resolved: Resolved, model: type[BaseModel], diagnostics: Diagnostics) -> None:
    """Add each error to `diagnostics`, at the position of its node."""
    details = error.errors(include_url=False)
    unknown = (d for d in details if d["type"] == "extra_forbidden")
    misspelt = {
        closest_match(str(d["loc"][-1]), _keys(model, d["loc"])) for d in itertools.islice(unknown, MOST_OF_A_FILE)
    }
    for detail in details:
        # A key that is missing because it is misspelt is one error, not two.
        if detail["type"] == "missing" and detail["loc"][-1] in misspelt:
            continue
        node_path, kind, key = detail["loc"], detail["type"], detail["type"] == "extra_forbidden"
        at = node_path[:-1] if kind == "missing" else node_path
        topic = f"{kind} {node_path[-1]}" if kind == "missing" else kind
        diagnostics.error(resolved, at, partial(_message, detail, model), kind=topic, key=key)


def first_error(error: ValidationError) -> str:
    """Return the message of the first error in a JSON file, with the path of the invalid value."""
    detail = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(step) for step in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    return brief(f"`{name}`: {message}" if name else message, _MESSAGE_CHARACTERS)


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    node_path, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(str(node_path[-1]), _keys(model, node_path))
    if kind == "missing":
        return f"key `{node_path[-1]}` is missing"
    return _bad_value(node_path, detail, model)


def _bad_value(node_path: NodePath, detail: ErrorDetails, model: type[BaseModel]) -> str:
    name = brief(".".join(str(step) for step in node_path))
    if detail["type"] == "enum" and (choices := _choices(model, node_path)):
        given = _given(detail["input"])
        near = closest_match(given, choices)
        hint = f", did you mean `{near}`?" if near else f"; it is one of {', '.join(f'`{c}`' for c in choices)}"
        return f"`{given}` is not a value of `{name}`{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    return f"`{name}`: {message}" if name else message


def _given(value: Any) -> str:
    """Return a value for a message, shortened if it is long."""
    if isinstance(value, list):
        return "a list"
    return "keys and values" if isinstance(value, dict) else brief(value, _VALUE_CHARACTERS)


def _unknown_key(key: str, known: list[str]) -> str:
    near = closest_match(key, known)
    hint = f"did you mean `{near}`?" if near else f"known keys are {', '.join(f'`{name}`' for name in known)}"
    return f"unknown key `{brief(key, _VALUE_CHARACTERS)}`, {hint}"


def _keys(model: type[BaseModel], node_path: NodePath) -> list[str]:
    """Return the known keys of the mapping in which `node_path` ends."""
    inner = _inside(model, node_path[:-1])
    return list(inner.model_fields) if inner is not None else []


def _choices(model: type[BaseModel], node_path: NodePath) -> list[str]:
    inner = _inside(model, node_path[:-1])
    field = inner.model_fields.get(str(node_path[-1])) if inner is not None else None
    kind = field.annotation if field else None
    return [each.value for each in kind] if isinstance(kind, type) and issubclass(kind, StrEnum) else []


def _inside(model: type[BaseModel], node_path: NodePath) -> type[BaseModel] | None:
    """Return the model of the node at `node_path`, through lists and options."""
    found: type[BaseModel] | None = model
    for step in node_path:
        if isinstance(step, int):
            continue
        field = found.model_fields.get(step) if found is not None else None
        found = next(_models(field.annotation), None) if field else None
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
