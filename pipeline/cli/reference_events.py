"""Reference pages about records: the AsyncAPI document and the JSON Schema of each kind."""

import json

import yaml  # type: ignore[import-untyped]

from pipeline.events.schemas.asyncapi import asyncapi
from pipeline.events.schemas.json_schema import record_schema
from pipeline.settings import Settings

_WIDTH = 120
# The settings that name the topics of the channels.
_TOPICS = {
    "images": "topic_images",
    "flags": "topic_flags",
    "verdicts": "topic_verdicts",
    "embeddings": "topic_embeddings",
    "deadLetters": "topic_dead_letters",
    "policies": "topic_policies",
    "decisions": "topic_decisions",
    "deadLetterHandling": "topic_dead_letter_handling",
}


def events_page() -> str:
    """Return docs/events.asyncapi.yaml."""
    document = asyncapi({channel: Settings.model_fields[name].default for channel, name in _TOPICS.items()})
    # The document passes through JSON, so that a repeated part is written out again, not as a YAML alias.
    text: str = yaml.safe_dump(json.loads(json.dumps(document)), width=_WIDTH, sort_keys=False, allow_unicode=True)
    return f"# Made from `pipeline/events/wire` by `make docs`.\n{text}"


def record_schema_page(kind: str) -> str:
    """Return docs/schemas/KIND.schema.json."""
    return json.dumps(record_schema(kind), indent=2, ensure_ascii=False) + "\n"
