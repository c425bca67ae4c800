"""Reference pages about records: the AsyncAPI document and the JSON Schema of each kind."""

import json

import yaml  # type: ignore[import-untyped]

from pipeline.events.schemas.asyncapi import asyncapi
from pipeline.events.schemas.json_schema import record_schema
from pipeline.settings import Settings

_WIDTH = 120
# The settings of the channels' topics.
_TOPICS = {
    "images": "topic_images",
    "flags": "topic_flags",
    "verdicts": "topic_verdicts",
    "embeddings": "topic_embeddings",
    "deadLetters": "topic_dead_letters",
    "policies": "topic_policies",
    "decisions": "topic_decisions",
}


def events_page() -> str:
    """Return docs/events.asyncapi.yaml."""
    document = asyncapi({channel: Settings.model_fields[name].default for channel, name in _TOPICS.items()})
    # Through JSON, so that a part that stands twice is written out twice, and not as a YAML alias.
    told: str = yaml.safe_dump(json.loads(json.dumps(document)), width=_WIDTH, sort_keys=False, allow_unicode=True)
    return f"# Made from `pipeline/events/wire` by `make docs`.\n{told}"


def record_schema_page(kind: str) -> str:
    """Return docs/schemas/KIND.schema.json."""
    return json.dumps(record_schema(kind), indent=2, ensure_ascii=False) + "\n"
