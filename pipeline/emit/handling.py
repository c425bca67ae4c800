"""A dead letter's handling as a record of its topic, and the record that a requeued letter puts on the input topic."""

from datetime import UTC, datetime
from uuid import uuid5

from pipeline.broker.producer import Message
from pipeline.emit.encoded import Encoded
from pipeline.emit.formats import cloud_event
from pipeline.events.outcomes import FLAG_NAMESPACE
from pipeline.events.records import Headers
from pipeline.events.times import rfc3339
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.handling import Handling
from pipeline.events.wire.model import adapter_of
from pipeline.events.wire.requeue import RequeueHeaders


def handling_record(handling: Handling) -> Encoded:
    """Return the record of a handling. Its key names the letter."""
    key = str(handling.letter)
    record_id = uuid5(FLAG_NAMESPACE, f"handling\n{key}\n{handling.action}\n{handling.time.isoformat()}")
    headers = cloud_event(Handling, str(record_id), rfc3339(handling.time))
    return Encoded(key.encode(), adapter_of(Handling).dump_json(handling), headers)


def requeued_message(
    letter: DeadLetterRecord, topic: str, partition: int | None, *, present: datetime | None = None
) -> Message:
    """
    Return the input record that a letter keeps, with its key, value, headers and timestamp.

    Headers after its own say that it was requeued. A record without an id and a source keeps those that it had: its
    first position and topic. `present` replaces its timestamp; a record without `ce_time` then gets one with the time
    it had.
    """
    own = RequeueHeaders(requeued_from=str(letter.origin), attempt=str(letter.attempt + 1)).headers()
    brought = tuple((name, value or b"") for name, value in letter.event_headers if name not in RequeueHeaders.NAMES)
    headers = (*brought, *_identity(letter), *(_event_time(letter) if present else ()), *own)
    return Message(
        topic,
        None if "key" in letter.absent else letter.key,
        None if "value" in letter.absent else letter.value,
        headers,
        partition,
        letter.timestamp_ms if present is None else int(present.timestamp() * 1000),
    )


def _identity(letter: DeadLetterRecord) -> Headers:
    """Return the id and the source that a worker gave a record without both; nothing for any other record."""
    if _names(letter) & {"ce_id", "ce_source"}:
        return ()
    return ("ce_id", str(letter.origin).encode()), ("ce_source", letter.origin.topic.encode())


def _event_time(letter: DeadLetterRecord) -> Headers:
    if letter.timestamp_ms is None or "ce_time" in _names(letter):
        return ()
    try:
        time = datetime.fromtimestamp(letter.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # outside the calendar, where a worker takes it for none
        return ()
    return (("ce_time", rfc3339(time).encode()),)


def _names(letter: DeadLetterRecord) -> set[str]:
    """Return the names of the record's headers, of which a worker ignores the case."""
    return {name.lower() for name, _ in letter.event_headers}
