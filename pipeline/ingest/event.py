"""Parsing of records as image events: CloudEvents' Kafka binding in binary mode, or a bare image."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Headers, ImageEvent, Record, Reference
from pipeline.events.times import rfc3339
from pipeline.events.trace_context import valid_traceparent

# Output records repeat these values, in topics that admit a mebibyte. JSON may turn one byte into six.
MAX_ID_BYTES = 1024
MAX_SOURCE_BYTES = 2048
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTES_BYTES = 16 << 10
MAX_URI_BYTES = 8 << 10
MAX_REFERENCE_BYTES = 64 << 10

_CORE = ("id", "source", "type", "time", "specversion", "subject", "dataschema", "datacontenttype")
_SHOWN = 100
# RFC 3339, section 5.6. A leap second is read as the second after it.
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_MICROSECONDS = 7


class _ReferenceValue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    uri: str


def parse_event(record: Record) -> ImageEvent:
    """
    Read a record as an image event.

    If it has no `ce_` headers, its value is an image, and the id is topic/partition/offset. Raises `RecordFault` with
    `unreadable`, `bad_event`, `bad_reference` or `empty`.
    """
    if record.unreadable is not None:
        raise RecordFault(DeadLetterReason.UNREADABLE, f"the record cannot be read: {record.unreadable}")
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
        traceparent=valid_traceparent(headers.get("traceparent")),
    )


def refers(record: Record) -> bool:
    """Tell whether a record's value is a reference to the image rather than the image itself."""
    return any(name.lower() == "content-type" and _is_json(value or b"") for name, value in record.headers)


def event_headers(
    event_id: str, source: str, attributes: Mapping[str, str], *, content_type: str, time: datetime | None = None
) -> Headers:
    """Return the headers of an image event for `parse_event`: CloudEvents' Kafka binding in binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": "watchword.image.v1",
        **({"ce_time": rfc3339(time)} if time else {}),
        "content-type": content_type,
        **{f"ce_{name}": text for name, text in attributes.items()},
    }
    return tuple((name, text.encode()) for name, text in headers.items())


def _attributes(headers: Mapping[str, bytes]) -> dict[str, str]:
    found = {name[3:]: value for name, value in headers.items() if name.startswith("ce_")}
    _require_size("ce_id", len(found.get("id", b"")), MAX_ID_BYTES)
    _require_size("ce_source", len(found.get("source", b"")), MAX_SOURCE_BYTES)
    extensions = {name: value for name, value in found.items() if name not in _CORE}
    if len(extensions) > MAX_ATTRIBUTES:
        detail = f"{len(extensions)} attributes, the limit is {MAX_ATTRIBUTES}"
        raise RecordFault(DeadLetterReason.BAD_EVENT, detail)
    size = sum(len(name) + len(value) for name, value in extensions.items())
    _require_size("the attributes together", size, MAX_ATTRIBUTES_BYTES)
    try:
        return {name: value.decode() for name, value in found.items()}
    except UnicodeDecodeError as error:
        raise RecordFault(DeadLetterReason.BAD_EVENT, f"a `ce_` header is not UTF-8: {error.reason}") from error


def _require_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise RecordFault(DeadLetterReason.BAD_EVENT, f"{name}: {size} bytes, the limit is {limit}")


def _time(text: str | None, timestamp_ms: int | None) -> datetime | None:
    """Return an event's time, or the record's timestamp. A timestamp outside the calendar counts as none."""
    try:
        if text is not None:
            return _rfc3339(text)
        return None if timestamp_ms is None or timestamp_ms < 0 else datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        if text is None:
            return None
        detail = f"`ce_time` is not an RFC 3339 time with a zone, from year 1 to 9999 in UTC: `{text[:_SHOWN]}`"
        raise RecordFault(DeadLetterReason.BAD_EVENT, detail) from error


def _rfc3339(text: str) -> datetime:
    """Return a time in UTC. Raises `ValueError` and `OverflowError`."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(text)
    day, minute, second, fraction, zone = found.groups(default="")
    leap = second == "60"
    whole = f"{day}T{minute}:{'59' if leap else second}{fraction[:_MICROSECONDS]}{zone.upper()}"
    return (datetime.fromisoformat(whole) + timedelta(seconds=leap)).astimezone(UTC)


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";")[0].strip().lower() == b"application/json"


def _content(value: bytes, content_type: bytes) -> bytes | Reference:
    if not _is_json(content_type):
        return value
    if len(value) > MAX_REFERENCE_BYTES:
        detail = f"a reference of {len(value)} bytes, the limit is {MAX_REFERENCE_BYTES}"
        raise RecordFault(DeadLetterReason.BAD_REFERENCE, detail)
    try:
        uri = _ReferenceValue.model_validate(json.loads(value)).uri
        size = len(uri.encode())
    except (ValueError, RecursionError, ValidationError) as error:
        detail = 'expected {"uri": "…"}, ' + (str(error).splitlines() or ["nothing else"])[0]
        raise RecordFault(DeadLetterReason.BAD_REFERENCE, detail) from error
    if size > MAX_URI_BYTES:
        raise RecordFault(DeadLetterReason.BAD_REFERENCE, f"a `uri` of {size} bytes, the limit is {MAX_URI_BYTES}")
    return Reference(uri)
