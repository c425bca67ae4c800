"""Outcomes of a stream, read from their topics. A record may contain anything."""

from typing import Any

from pipeline.errors import UnreadableRecord
from pipeline.events.records import Headers, Record
from pipeline.events.wire.flag import FlagRecord

_OWN = "watchword-"
_FIRST_OWN = "watchword-reason"


def readable_flag(record: Record) -> FlagRecord | None:
    """Return the flag event in a record; None if the record is not a readable flag event."""
    try:
        return FlagRecord.parse(record)
    except UnreadableRecord:
        return None


def dead_letter_fields(record: Record) -> dict[str, Any]:
    """Return the reason and the origin of a dead letter, and the headers and size of the record in it."""
    own, event = _split(record.headers)
    about = {name.removeprefix(_OWN): text for name, text in own.items()}
    return {**about, "headers": event, "size_bytes": len(record.value or b"")}


def shown_bytes(value: bytes | None) -> str:
    r"""Return bytes as text; bytes that are not UTF-8 become `\xff`."""
    return (value or b"").decode(errors="backslashreplace")


def _split(headers: Headers) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers that the worker added, which come last, and those of the record itself."""
    positions = [position for position, (name, _) in enumerate(headers) if name == _FIRST_OWN]
    first = positions[-1] if positions else len(headers)
    own = {name: shown_bytes(value) for name, value in headers[first:] if name.startswith(_OWN)}
    return own, {name: shown_bytes(value) for name, value in headers[:first]}
