"""Headers of records as the fields of a model, and the CloudEvents headers that most records have."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Self, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from pipeline.errors import UnreadableRecord
from pipeline.events.records import Headers, Record
from pipeline.events.wire.model import ModelT, adapter_of, first_problem
from pipeline.events.wire.parts import Time, listed
from pipeline.events.wire.versions import SOURCE, event_type

_KINDS = ("flag", "verdict", "embedding", "decision", "dead_letter_handling")
# In the type of a header that a record may lack.
Nothing = SkipJsonSchema[None]


class HeaderFields:
    """Headers as fields: `model_digest` is the header `model-digest`. A field that is None is no header."""

    PREFIX: ClassVar[str] = ""
    NAMES: ClassVar[tuple[str, ...]]

    def headers(self, errors: str = "strict") -> Headers:
        """Return the headers, in the order of the fields. `errors` is the error handler of `str.encode`."""
        named = zip(self.NAMES, vars(self).values(), strict=True)
        return tuple([(name, text.encode(errors=errors)) for name, text in named if text is not None])

    @classmethod
    def of(cls, record: Record, kind: str) -> Self:
        """Read the headers of a record; the last of a name counts. Raises `UnreadableRecord`."""
        texts = {name: (value or b"").decode(errors="replace") for name, value in record.headers if name in cls.NAMES}
        try:
            return adapter_of(cls).validate_python(texts)
        except ValidationError as error:
            raise UnreadableRecord(str(record.origin), kind, f"header {first_problem(error)}") from error


@dataclass_transform(kw_only_default=True, frozen_default=True)
def header_model(model: type[ModelT]) -> type[ModelT]:
    """Make a subclass of `HeaderFields` a dataclass; type checkers treat it as frozen, as they do a `wire_model`."""
    prefix: str = getattr(model, "PREFIX", "")
    made: Any = dataclass(kw_only=True)(model)
    made.NAMES = tuple(_header_name(prefix, field.name) for field in fields(made))
    made.__pydantic_config__ = ConfigDict(alias_generator=lambda name: _header_name(prefix, name))
    found: type[ModelT] = made
    return found


def _header_name(prefix: str, field: str) -> str:
    return field if field.startswith("ce_") else prefix + field.replace("_", "-")


@header_model
class EventHeaders(HeaderFields):
    """CloudEvents headers, in the binary mode of the Kafka binding."""

    ce_specversion: Annotated[str, Field(json_schema_extra={"const": "1.0"})] = "1.0"
    ce_id: Annotated[
        str, Field(json_schema_extra={"format": "uuid"}, description="A record that is written again has the same id.")
    ]
    ce_source: Annotated[str, Field(json_schema_extra={"const": SOURCE})] = SOURCE
    ce_type: Annotated[
        str,
        Field(
            json_schema_extra=listed(*(event_type(kind, 1) for kind in _KINDS)),
            description="The kind of record and its version. A reader refuses versions that it does not know.",
        ),
    ]
    ce_time: Annotated[
        Time, Field(description="When the image was judged, or the decision made or carried out, RFC 3339 in UTC.")
    ]
    content_type: str = "application/json"
    traceparent: Annotated[
        str | Nothing, Field(description="The producer's W3C trace context, from the image's own record.")
    ] = None
