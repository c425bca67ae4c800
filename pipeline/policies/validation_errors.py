"""What a schema refuses, in words that say where and what to do."""

import itertools
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.bounded import brief
from pipeline.policies.diagnostics import closest_match
from pipeline.policies.reports import MOST_OF_A_FILE, Reports
from pipeline.policies.resolve import Resolved

_VALUE_CHARACTERS = 60
_MESSAGE_CHARACTERS = 400


def report_all(error: ValidationError, resolved: Resolved, model: type[BaseModel], reports: Reports) -> None:
    """Add a message for each mistake to `reports`, shown where it was written."""
    details = error.errors(include_url=False)
    unknown = (d for d in details if d["type"] == "extra_forbidden")
    misspelt = {
        closest_match(str(d["loc"][-1]), _keys(model, d["loc"])) for d in itertools.islice(unknown, MOST_OF_A_FILE)
    }
    for detail in details:
        # A key that is missing because it is misspelt is one mistake, not two.
        if detail["type"] == "missing" and detail["loc"][-1] in misspelt:
            continue
        document, there = resolved.written_at(detail["loc"])
        reports.add(document.path, (there, detail["type"]), partial(_report, detail, resolved, model))


def told(error: ValidationError) -> str:
    """Return the first mistake of a file that is JSON, with the part that it is about."""
    detail = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    return brief(f"`{place}`: {message}" if place else message, _MESSAGE_CHARACTERS)


def _report(detail: ErrorDetails, resolved: Resolved, model: type[BaseModel]) -> str:
    place, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return resolved.report(place, _unknown_key(str(place[-1]), _keys(model, place)), key=True)
    if kind == "missing":
        return resolved.report(place[:-1], f"key `{place[-1]}` is missing")
    return resolved.report(place, _bad_value(place, detail, model))


def _bad_value(place: tuple[int | str, ...], detail: ErrorDetails, model: type[BaseModel]) -> str:
    name = brief(".".join(str(step) for step in place))
    if detail["type"] == "enum" and (choices := _choices(model, place)):
        given = _given(detail["input"])
        near = closest_match(given, choices)
        hint = f", did you mean `{near}`?" if near else f"; it is one of {', '.join(f'`{c}`' for c in choices)}"
        return f"`{given}` is not a value of `{name}`{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    return f"`{name}`: {message}" if name else message


def _given(value: Any) -> str:
    """Return a value as a message shows it, not written out where it may be long."""
    if isinstance(value, list):
        return "a list"
    return "keys and values" if isinstance(value, dict) else brief(value, _VALUE_CHARACTERS)


def _unknown_key(key: str, known: list[str]) -> str:
    near = closest_match(key, known)
    hint = f"did you mean `{near}`?" if near else f"known keys are {', '.join(f'`{name}`' for name in known)}"
    return f"unknown key `{brief(key, _VALUE_CHARACTERS)}`, {hint}"


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are known where `place` ends."""
    inner = _inside(model, place[:-1])
    return list(inner.model_fields) if inner is not None else []


def _choices(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    inner = _inside(model, place[:-1])
    field = inner.model_fields.get(str(place[-1])) if inner is not None else None
    kind = field.annotation if field else None
    return [each.value for each in kind] if isinstance(kind, type) and issubclass(kind, StrEnum) else []


def _inside(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the model of what stands at `place`, through lists and options."""
    found: type[BaseModel] | None = model
    for step in place:
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
