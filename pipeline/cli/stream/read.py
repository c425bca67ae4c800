"""`watchword read`: what a stream has put out, as JSON lines."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pipeline.broker.reader import follow_topic, read_range, read_topics
from pipeline.broker.topology import connection_of
from pipeline.cli.times import since_of
from pipeline.errors import UsageError
from pipeline.events.records import Headers, Record
from pipeline.settings import Settings, load_settings
from pipeline.visible import json_text, safe_json

DEAD_LETTERS = "dead-letters"
_OWN = "watchword-"
_FIRST_OWN = "watchword-reason"


@dataclass(frozen=True)
class Asked:
    """Outcomes of one kind: of a policy or of all, from a time or the beginning on, and whether to wait for more."""

    kind: str
    policy: str | None = None
    since: str | None = None
    follow: bool = False


def read_outcomes(asked: Asked) -> Generator[str, None, None]:
    """Yield committed outcomes as lines of JSON. Raises `UsageError` for an unknown kind."""
    settings = load_settings(Settings)
    topics = {
        "flags": settings.topic_flags,
        "verdicts": settings.topic_verdicts,
        DEAD_LETTERS: settings.topic_dead_letters,
    }
    if asked.kind not in topics:
        raise UsageError(f"`{asked.kind}` is not an outcome; choose {', '.join(f'`{name}`' for name in topics)}")
    if asked.policy is not None and asked.kind == DEAD_LETTERS:
        raise UsageError("`--policy` is for flags and verdicts: no policy judged a dead letter")
    since = None if asked.since is None else since_of(asked.since)
    for record in _records(settings, topics[asked.kind], since, follow=asked.follow):
        if asked.policy is None or _speaks_of(record, asked.kind, asked.policy):
            yield json_text(_about(record)) if asked.kind == DEAD_LETTERS else _line(record)


def outcome_fields(record: Record) -> dict[str, Any]:
    """Return the fields of an outcome, none of a record that is no JSON object."""
    fields = _parsed(record)
    return fields if isinstance(fields, dict) else {}


def _records(settings: Settings, topic: str, since: datetime | None, *, follow: bool) -> Iterator[Record]:
    connection = connection_of(settings)
    if follow:
        return follow_topic(connection, topic, since)
    return read_topics(connection, [topic]) if since is None else read_range(connection, topic, since, None)


def _speaks_of(record: Record, kind: str, policy: str) -> bool:
    """Tell whether a flag is of a policy, or a verdict says that it flags."""
    fields = outcome_fields(record)
    if kind == "flags":
        return bool(_id(fields.get("policy")) == policy)
    said = fields.get("policies")
    return isinstance(said, list) and any(_id(each) == policy and each.get("flagged") is True for each in said)


def _id(fields: Any) -> Any:
    return fields.get("id") if isinstance(fields, dict) else None


def _line(record: Record) -> str:
    """Return an outcome as it was sent, on one line; what is no JSON as a JSON object that says so."""
    fields, value = _parsed(record), record.value or b""
    if fields is None:
        return json_text({"error": "not JSON", "record": str(record.origin), "value": _text(value)})
    return safe_json(value.decode()) if b"\n" not in value and b"\r" not in value else json_text(fields)


def _parsed(record: Record) -> Any:
    try:
        return orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None


def _about(record: Record) -> dict[str, Any]:
    """Return a dead letter's own headers and what it was, without its bytes."""
    own, event = _headers(record.headers)
    about = {name.removeprefix(_OWN): text for name, text in own.items()}
    return {**about, "headers": event, "size_bytes": len(record.value or b"")}


def _headers(headers: Headers) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers that this project added, which come last, and those of the record itself."""
    places = [place for place, (name, _) in enumerate(headers) if name == _FIRST_OWN]
    first = places[-1] if places else len(headers)
    own = {name: _text(value) for name, value in headers[first:] if name.startswith(_OWN)}
    return own, {name: _text(value) for name, value in headers[:first]}


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="backslashreplace")
