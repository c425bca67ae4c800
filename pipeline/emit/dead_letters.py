"""Dead letters on the wire: the record whole, or as much of it as the topic admits, and why it is here."""

import hashlib
from dataclasses import dataclass

from pipeline.emit.encoded import RECORD_OVERHEAD_BYTES, Encoded, headers_bytes, rfc3339
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Headers, Record

MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a letter keeps of its record."""

    key: bytes
    value: bytes
    headers: Headers
    cut: tuple[str, ...]


def dead_letter_record(letter: DeadLetter, limit_bytes: int) -> Encoded:
    """
    Return the record, its own headers first, with where it came from and why it is here.

    One that would be larger than `limit_bytes` keeps its first bytes and headers, marked by `watchword-truncated`, with
    the size and SHA-256 of the whole value.
    """
    record = letter.record
    told = _told(letter)
    room = limit_bytes - headers_bytes(told) - RECORD_OVERHEAD_BYTES
    kept = _keep(record, room)
    if kept.cut:
        marks = _marks(record, ())
        kept = _keep(record, room - headers_bytes(marks) - len("key,headers,value"))
        told = (*told, *_marks(record, kept.cut))
    return Encoded(kept.key, kept.value, (*kept.headers, *told))


def _told(letter: DeadLetter) -> Headers:
    record = letter.record
    absent = ",".join(name for name, part in (("key", record.key), ("value", record.value)) if part is None)
    reason = {
        "watchword-reason": letter.reason.value,
        "watchword-detail": letter.detail[:MAX_DETAIL],
        "watchword-topic": record.origin.topic,
        "watchword-partition": str(record.origin.partition),
        "watchword-offset": str(record.origin.offset),
        "watchword-time": rfc3339(letter.time),
        "watchword-absent": absent,
    }
    return tuple((name, text.encode(errors="backslashreplace")) for name, text in reason.items())


def _marks(record: Record, cut: tuple[str, ...]) -> Headers:
    value = record.value or b""
    return (
        ("watchword-truncated", ",".join(cut).encode()),
        ("watchword-value-bytes", str(len(value)).encode()),
        ("watchword-value-sha256", hashlib.sha256(value).hexdigest().encode()),
    )


def _keep(record: Record, room: int) -> _Kept:
    """Fit a record into `room` bytes: the key up to a quarter, headers up to a half, the value in what is left."""
    key, value = record.key or b"", record.value or b""
    whole = tuple((name, value or b"") for name, value in record.headers)
    if len(key) + len(value) + headers_bytes(whole) <= room:
        return _Kept(key, value, whole, ())
    short = key[: room // 4]
    headers = _first(whole, room // 2)
    left = value[: max(0, room - len(short) - headers_bytes(headers))]
    parts = (("key", len(short) < len(key)), ("headers", len(headers) < len(whole)), ("value", len(left) < len(value)))
    return _Kept(short, left, headers, tuple(name for name, is_cut in parts if is_cut))


def _first(headers: Headers, room: int) -> Headers:
    """Return the headers that fit, in order; a large one does not keep smaller ones out."""
    kept = []
    for header in headers:
        size = headers_bytes((header,))
        if size <= room:
            kept.append(header)
            room -= size
    return tuple(kept)
