"""JSON Schemas of records, generated from their models."""

from collections.abc import Mapping
from dataclasses import Field, fields
from types import MappingProxyType
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipeline.events.decisions import Decision
from pipeline.events.policies import PolicySet
from pipeline.events.releases import Release
from pipeline.events.wire.dead_letter import DeadLetterHeaders, DeadLetterRecord
from pipeline.events.wire.embedding import EmbeddingHeaders, EmbeddingRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.handling import Handling
from pipeline.events.wire.headers import EventHeaders, HeaderFields
from pipeline.events.wire.model import WireRecord
from pipeline.events.wire.requeue import RequeueHeaders
from pipeline.events.wire.verdict import VerdictRecord

# The part of each record that a schema describes: the value, or the headers of one whose value is bytes.
DESCRIBED: Mapping[type[WireRecord], type[Any]] = MappingProxyType(
    {
        VerdictRecord: VerdictRecord,
        FlagRecord: FlagRecord,
        EmbeddingRecord: EmbeddingHeaders,
        DeadLetterRecord: DeadLetterHeaders,
        Decision: Decision,
        Release: Release,
        Handling: Handling,
    }
)
KINDS = tuple(record.KIND for record in DESCRIBED)
_Side = Literal["validation", "serialization"]
_WIRE = "pipeline.events.wire."
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """
    Schemas for people and programs that read records.

    Descriptions are those of the wire's own models: docstrings of other classes are for their programmers. Unknown
    fields are allowed. A field is required if watchword always writes it.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 -- pydantic's signature
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        made, model = super().dataclass_schema(schema), schema["cls"]
        own = issubclass(model, WireRecord) or model.__module__.startswith(_WIRE)
        made = _on_one_line(made) if own else _without(made, "description")
        named = zip(made["properties"], fields(model), strict=True)
        return {**made, "required": [name for name, field in named if not _may_lack(model, field)]}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _on_one_line(_without(super().model_schema(schema), "additionalProperties"))


def record_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a kind of record."""
    record, described = next(pair for pair in DESCRIBED.items() if kind == pair[0].KIND)
    schema = TypeAdapter(described).json_schema(mode=_mode(described), schema_generator=_Generator)
    definitions = {"$defs": _plain_enumerations(schema.pop("$defs"))} if "$defs" in schema else {}
    about = {"$schema": _DIALECT, "$id": f"urn:{record.event_type().replace('.', ':')}", "title": record.event_type()}
    return {**about, **_without(schema, "title"), **definitions}


def shared_schemas(ref_template: str = DEFAULT_REF_TEMPLATE) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return a reference to the schema of each model, by the name of its class, and all schemas by their names."""
    models = (*DESCRIBED.values(), EventHeaders, RequeueHeaders, PolicySet)
    inputs: list[tuple[str, _Side, TypeAdapter[Any]]] = [
        (model.__name__, _mode(model), TypeAdapter(model)) for model in models
    ]
    found, schemas = TypeAdapter.json_schemas(inputs, ref_template=ref_template, schema_generator=_Generator)
    return {name: schema for (name, _), schema in found.items()}, _plain_enumerations(schemas["$defs"])


def _mode(model: type[Any]) -> _Side:
    """Return the side that a schema describes: anyone may write decisions, and watchword writes the rest."""
    return "validation" if model is Decision else "serialization"


def _may_lack(model: type[Any], field: "Field[Any]") -> bool:
    return issubclass(model, HeaderFields) and field.default is None


def _plain_enumerations(schemas: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: _without(each, "description") if "enum" in each else each for name, each in schemas.items()}


def _without(schema: JsonSchemaValue, key: str) -> JsonSchemaValue:
    return {name: value for name, value in schema.items() if name != key}


def _on_one_line(schema: JsonSchemaValue) -> JsonSchemaValue:
    return {**schema, "description": " ".join(schema["description"].split())}
