"""Fields of a dead letter for output as JSON: everything but the record's value."""

from typing import Any

from pipeline.events.times import rfc3339
from pipeline.events.wire.handling import Handling
from pipeline.events.wire.versions import header_text
from pipeline.operations.dead_letters.letters import Letter
from pipeline.operations.stream.outcomes import shown_bytes


def letter_fields(letter: Letter) -> dict[str, Any]:
    """Return the fields of a letter. Bytes that are no text are escaped, as in `read dead-letters`."""
    record = letter.record
    return {
        "origin": str(record.origin),
        "reason": record.own.reason.value,
        "detail": record.own.detail,
        "time": record.own.time,
        "state": letter.state.value,
        "attempt": record.attempt,
        "requeued_from": header_text(record.event_headers, "watchword-requeued-from"),
        "event_id": record.event_id or None,
        "key": None if "key" in record.absent else shown_bytes(record.key),
        "headers": {name: shown_bytes(value) for name, value in record.event_headers},
        "size_bytes": None if "value" in record.absent else record.size_bytes,
        "value_sha256": None if "value" in record.absent else letter.id.value_sha256,
        "timestamp_ms": record.timestamp_ms,
        "truncated": record.own.truncated.split(",") if record.own.truncated else [],
        "dead_letter": str(letter.place),
        "handled": [_handling_fields(each) for each in letter.history],
    }


def _handling_fields(handling: Handling) -> dict[str, Any]:
    return {
        "action": handling.action.value,
        "time": rfc3339(handling.time),
        "by": handling.by,
        "note": handling.note,
        "attempt": handling.attempt,
    }
