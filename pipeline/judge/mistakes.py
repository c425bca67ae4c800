"""What a schema refuses, in words that say where and what to do."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.judge.positions import meant
from pipeline.judge.resolve import Resolved


def reports_of(error: ValidationError, resolved: Resolved, model: type[BaseModel]) -> Iterator[str]:
    """Yield a message for each mistake, shown where it was written."""
    details = error.errors()
    misspelt = {meant(str(d["loc"][-1]), _keys(model, d["loc"])) for d in details if d["type"] == "extra_forbidden"}
    for detail in details:
        # A key that is missing because it is misspelt is one mistake, not two.
        if detail["type"] != "missing" or detail["loc"][-1] not in misspelt:
            yield _report(detail, resolved, model)


def _report(detail: ErrorDetails, resolved: Resolved, model: type[BaseModel]) -> str:
    place, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return resolved.report(place, _unknown_key(str(place[-1]), _keys(model, place)), key=True)
    if kind == "missing":
        return resolved.report(place[:-1], f"key `{place[-1]}` is missing")
    return resolved.report(place, _bad_value(place, detail, model))


def _bad_value(place: tuple[int | str, ...], detail: ErrorDetails, model: type[BaseModel]) -> str:
    name = ".".join(str(step) for step in place)
    if detail["type"] == "enum" and (choices := _choices(model, place)):
        near = meant(str(detail["input"]), choices)
        hint = f", did you mean `{near}`?" if near else f"; it is one of {', '.join(f'`{c}`' for c in choices)}"
        return f"`{detail['input']}` is not a value of `{name}`{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    return f"`{name}`: {message}" if name else message


def _unknown_key(key: str, known: list[str]) -> str:
    near = meant(key, known)
    hint = f"did you mean `{near}`?" if near else f"known keys are {', '.join(f'`{name}`' for name in known)}"
    return f"unknown key `{key}`, {hint}"


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
