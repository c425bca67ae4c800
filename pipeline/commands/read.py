"""`watchword read`: what a stream has put out, as JSON lines."""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.broker.reader import read_topics
from pipeline.errors import UsageError
from pipeline.events.records import Record
from pipeline.settings import Settings, load_settings
from pipeline.stream.topics import connection_of


def read_outcomes(kind: str) -> Iterator[str]:
    """Yield committed outcomes of one kind. Raises `UsageError` for an unknown kind."""
    settings = load_settings(Settings)
    topics = {
        "flags": settings.topic_flags,
        "verdicts": settings.topic_verdicts,
        "dead-letters": settings.topic_dead_letters,
    }
    if kind not in topics:
        raise UsageError(f"`{kind}` is not an outcome; choose {', '.join(f'`{name}`' for name in topics)}")
    for record in read_topics(connection_of(settings), [topics[kind]]):
        yield (
            json.dumps(_about(record), ensure_ascii=False) if kind == "dead-letters" else (record.value or b"").decode()
        )


def _about(record: Record) -> dict[str, Any]:
    """Return a dead letter's own headers and what it was, without its bytes."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    about: dict[str, Any] = {
        name.removeprefix("watchword-"): text for name, text in headers.items() if name.startswith("watchword-")
    }
    event = {name: text for name, text in headers.items() if not name.startswith("watchword-")}
    return {**about, "headers": event, "size_bytes": len(record.value or b"")}
