"""A record to the image event it means: CloudEvents' Kafka binding in binary mode, or a bare image."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Headers, ImageEvent, Record, Reference

_CORE = ("id", "source", "type", "time", "specversion", "subject", "dataschema", "datacontenttype")


class _ReferenceValue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    uri: str


def parse_event(record: Record) -> ImageEvent:
    """
    Read a record as an image event.

    Without `ce_` headers the value is an image whose id is topic/partition/offset. Raises `RecordFault` with
    `bad_event`, `bad_reference` or `empty`.
    """
    headers = {name.lower(): value or b"" for name, value in record.headers}
    attributes = _attributes(headers)
    if not record.value:
        raise RecordFault(DeadLetterReason.EMPTY, "the record has no value")
    if attributes.keys() & {"id", "source"} and not {"id", "source"} <= attributes.keys():
        raise RecordFault(DeadLetterReason.BAD_EVENT, "`ce_id` and `ce_source` must come together")
    return ImageEvent(
        origin=record.origin,
        id=attributes.get("id") or str(record.origin),
        source=attributes.get("source") or record.origin.topic,
        time=_time(attributes.get("time"), record.timestamp_ms),
        attributes={name: value for name, value in attributes.items() if name not in _CORE},
        content=_content(record.value, headers.get("content-type", b"")),
    )


def event_headers(
    event_id: str, source: str, attributes: Mapping[str, str], *, content_type: str, time: datetime | None = None
) -> Headers:
    """Return the headers of an image event, which `parse_event` reads: CloudEvents' Kafka binding in binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": "watchword.image.v1",
        **({"ce_time": time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")} if time else {}),
        "content-type": content_type,
        **{f"ce_{name}": text for name, text in attributes.items()},
    }
    return tuple((name, text.encode()) for name, text in headers.items())


def _attributes(headers: dict[str, bytes]) -> dict[str, str]:
    try:
        return {name[3:]: value.decode() for name, value in headers.items() if name.startswith("ce_")}
    except UnicodeDecodeError as error:
        raise RecordFault(DeadLetterReason.BAD_EVENT, f"a `ce_` header is not UTF-8: {error}") from error


def _time(text: str | None, timestamp_ms: int | None) -> datetime | None:
    if text is None:
        return None if timestamp_ms is None or timestamp_ms < 0 else datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordFault(DeadLetterReason.BAD_EVENT, f"`ce_time` is not an RFC 3339 time: `{text}`") from error
    if time.tzinfo is None:
        raise RecordFault(DeadLetterReason.BAD_EVENT, f"`ce_time` has no time zone: `{text}`")
    return time.astimezone(UTC)


def _content(value: bytes, content_type: bytes) -> bytes | Reference:
    if content_type.split(b";")[0].strip().lower() != b"application/json":
        return value
    try:
        return Reference(_ReferenceValue.model_validate(json.loads(value)).uri)
    except (ValueError, ValidationError) as error:
        detail = 'expected {"uri": "…"}, ' + str(error).splitlines()[0]
        raise RecordFault(DeadLetterReason.BAD_REFERENCE, detail) from error
