"""Dead-letter records: the input record, cut to the topic's limit if needed, and the reason why it cannot be judged."""

import hashlib
from dataclasses import dataclass, replace

from pipeline.emit.encoded import RECORD_OVERHEAD_BYTES, Encoded, headers_bytes
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Headers, Record
from pipeline.events.times import rfc3339
from pipeline.events.wire.dead_letter import DeadLetterHeaders

MAX_DETAIL = 1000
_PARTS = ("key", "headers", "value")


@dataclass(frozen=True, slots=True)
class _Kept:
    """Parts of an input record that its dead letter keeps, and the names of the parts that are cut."""

    key: bytes
    value: bytes
    headers: Headers
    cut: tuple[str, ...]


def dead_letter_record(letter: DeadLetter, limit_bytes: int) -> Encoded:
    """
    Return the record of a dead letter: the input record's headers first, then its position and the reason.

    A record that would be larger than `limit_bytes` keeps its first bytes and headers only. The header
    `watchword-truncated` then names the parts that are cut; two more headers give the size and SHA-256 of the whole
    value.
    """
    record, own = letter.record, _own(letter)
    kept = _keep(record, _room(own, limit_bytes))
    if kept.cut:
        kept = _keep(record, _room(_marked(own, record, _PARTS), limit_bytes))
        own = _marked(own, record, kept.cut)
    return Encoded(kept.key, kept.value, (*kept.headers, *_encoded(own)))


def _own(letter: DeadLetter) -> DeadLetterHeaders:
    record = letter.record
    return DeadLetterHeaders(
        reason=letter.reason,
        detail=letter.detail[:MAX_DETAIL],
        topic=record.origin.topic,
        partition=str(record.origin.partition),
        offset=str(record.origin.offset),
        time=rfc3339(letter.time),
        absent=",".join(name for name, part in (("key", record.key), ("value", record.value)) if part is None),
        timestamp=_timestamp(record),
    )


def _timestamp(record: Record) -> str | None:
    """Return the timestamp; None for a record of a client that gives none, whose timestamp is -1."""
    return None if record.timestamp_ms is None or record.timestamp_ms < 0 else str(record.timestamp_ms)


def _marked(own: DeadLetterHeaders, record: Record, cut: tuple[str, ...]) -> DeadLetterHeaders:
    value = record.value or b""
    digest = hashlib.sha256(value).hexdigest()
    return replace(own, truncated=",".join(cut), value_bytes=str(len(value)), value_sha256=digest)


def _encoded(own: DeadLetterHeaders) -> Headers:
    return own.headers(errors="backslashreplace")


def _room(own: DeadLetterHeaders, limit_bytes: int) -> int:
    return limit_bytes - headers_bytes(_encoded(own)) - RECORD_OVERHEAD_BYTES


def _keep(record: Record, room: int) -> _Kept:
    """Fit a record into `room` bytes: the key takes up to a quarter, headers up to a half, the value the rest."""
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
    """Return the headers that fit, in order. A header that is too large is skipped."""
    kept = []
    for header in headers:
        size = headers_bytes((header,))
        if size <= room:
            kept.append(header)
            room -= size
    return tuple(kept)
