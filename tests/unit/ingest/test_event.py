"""Image events parsed from records."""

from datetime import UTC, datetime

import pytest

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Headers, Origin, Record, Reference
from pipeline.ingest.event import parse_event

ORIGIN = Origin("images", 2, 7)


def record(value: bytes | None = b"image", headers: Headers = (), timestamp_ms: int | None = None) -> Record:
    return Record(ORIGIN, None, value, headers, timestamp_ms)


def test_a_bare_record_is_an_image_named_by_its_position() -> None:
    event = parse_event(record(timestamp_ms=1_700_000_000_000))
    assert (event.id, event.source, event.content) == ("images/2/7", "images", b"image")
    assert event.time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_cloudevents_headers_name_the_event_and_the_rest_are_attributes() -> None:
    headers: Headers = (
        ("ce_id", b"42"),
        ("ce_source", b"shop"),
        ("ce_type", b"image"),
        ("ce_specversion", b"1.0"),
        ("ce_time", b"2026-01-02T03:04:05+01:00"),
        ("ce_region", "Übersee".encode()),
        ("trace", b"x"),
    )
    event = parse_event(record(headers=headers))
    assert (event.id, event.source) == ("42", "shop")
    assert event.time == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert event.attributes == {"region": "Übersee"}


def test_json_is_a_reference() -> None:
    headers: Headers = (("content-type", b"application/json; charset=utf-8"),)
    assert parse_event(record(b'{"uri": "file:///a.jpg"}', headers)).content == Reference("file:///a.jpg")


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (None, (), DeadLetterReason.EMPTY),
        (b"", (), DeadLetterReason.EMPTY),
        (b"x", (("ce_id", b"1"),), DeadLetterReason.BAD_EVENT),
        (b"x", (("ce_region", b"\xff"),), DeadLetterReason.BAD_EVENT),
        (b"x", (("ce_time", b"yesterday"),), DeadLetterReason.BAD_EVENT),
        (b"x", (("ce_time", b"2026-01-02T03:04:05"),), DeadLetterReason.BAD_EVENT),
        (b"{", (("content-type", b"application/json"),), DeadLetterReason.BAD_REFERENCE),
        (b'{"url": "x"}', (("content-type", b"application/json"),), DeadLetterReason.BAD_REFERENCE),
        (b'{"uri": 3}', (("content-type", b"application/json"),), DeadLetterReason.BAD_REFERENCE),
        (b"\xff\xfe", (("content-type", b"application/json"),), DeadLetterReason.BAD_REFERENCE),
    ],
)
def test_an_unreadable_record_has_a_reason(value: bytes | None, headers: Headers, reason: DeadLetterReason) -> None:
    with pytest.raises(RecordFault) as caught:
        parse_event(record(value, headers))
    assert caught.value.reason is reason
