"""Base of the records that Watchword writes to its topics: their kind, their version, and how they are read."""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from pydantic import TypeAdapter, ValidationError

from pipeline.bounded import brief
from pipeline.errors import UnreadableRecord
from pipeline.events.records import Record
from pipeline.events.wire.versions import event_type, require_type

ModelT = TypeVar("ModelT")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def wire_model(model: type[ModelT]) -> type[ModelT]:
    """
    Make a class a dataclass with the fields of a record, in their order on the wire.

    Type checkers treat it as frozen. At run time it is not: workers create a handful of these for each image, and a
    frozen dataclass takes three times as long to create.
    """
    return dataclass(kw_only=True)(model)


class WireRecord:
    """
    A kind of record. `KIND` and `VERSION` make the CloudEvents type that its `ce_type` header carries.

    Within a version, fields may be added: readers ignore those that they do not know. Any other change makes a new
    version, which earlier readers refuse.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1

    @classmethod
    def event_type(cls) -> str:
        """Return the CloudEvents type, for example `watchword.verdict.v1`."""
        return event_type(cls.KIND, cls.VERSION)


class JsonRecord(WireRecord):
    """A kind of record whose value is a JSON object."""

    @classmethod
    def parse(cls, record: Record) -> Self:
        """Read a record of a topic. Raises `UnreadableRecord`."""
        require_type(record, cls.KIND, cls.VERSION)
        return cls.parse_json(record.value or b"", str(record.origin))

    @classmethod
    def parse_json(cls, text: bytes, place: str) -> Self:
        """Read the value of a record. Raises `UnreadableRecord`, whose message begins with `place`."""
        try:
            return adapter_of(cls).validate_json(text)
        except ValidationError as error:
            raise UnreadableRecord(place, cls.KIND, first_problem(error)) from error


def adapter_of(model: type[ModelT]) -> TypeAdapter[ModelT]:
    """Return the validator of a model. It is made when it is first needed: a worker that only writes needs none."""
    made: Any = _adapter_of
    found: TypeAdapter[ModelT] = made(model)
    return found


def first_problem(error: ValidationError) -> str:
    """Return the first mistake of a record, with the field that it is about, on one line."""
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    return brief(f"`{field}`: {message}" if field else message)


@cache
def _adapter_of(model: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(model)
