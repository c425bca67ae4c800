"""Records of the output topics: read by their models, refused by name, and described by their schemas."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from pipeline.emit.dead_letters import dead_letter_record
from pipeline.emit.decisions import decision_record
from pipeline.emit.formats import embedding_record, flag_content, flag_record, verdict_content, verdict_record
from pipeline.emit.handling import handling_record
from pipeline.errors import DeadLetterReason, UnreadableRecord
from pipeline.events.decisions import Decision
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Headers, Origin, Record
from pipeline.events.releases import Release
from pipeline.events.schemas.json_schema import KINDS, record_schema
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.embedding import EmbeddingRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.events.wire.handling import Handling, LetterId
from pipeline.events.wire.model import JsonRecord
from pipeline.events.wire.requeue import attempt_of
from pipeline.events.wire.verdict import VerdictRecord
from tests.support import wire
from tests.support.golden.files import read_records
from tests.support.golden.outcomes import decisions, handlings, verdicts

PLACE = Origin("moderation.verdicts", 1, 7)
VERDICT, *_ = verdicts()


def sent() -> Record:
    return wire.read_back(verdict_record(VERDICT), PLACE)


def edited(record: Record, **changes: object) -> Record:
    return replace(record, value=orjson.dumps({**orjson.loads(record.value or b""), **changes}))


def with_type(record: Record, ce_type: str) -> Record:
    headers = tuple((name, ce_type.encode() if name == "ce_type" else value) for name, value in record.headers)
    return replace(record, headers=headers)


def test_a_written_record_is_read_back_unchanged() -> None:
    assert VerdictRecord.parse(sent()) == verdict_content(VERDICT)
    [flag] = VERDICT.flags
    assert FlagRecord.parse(wire.read_back(flag_record(VERDICT, flag))) == flag_content(VERDICT, flag)
    for decision in decisions():
        assert Decision.parse(wire.read_back(decision_record(decision))) == decision
    for handling in handlings():
        assert Handling.parse(wire.read_back(handling_record(handling))) == handling


@pytest.mark.parametrize(
    ("kind", "content"),
    [(VerdictRecord, verdict_content(VERDICT)), (FlagRecord, flag_content(VERDICT, VERDICT.flags[0]))],
    ids=["verdict", "flag"],
)
def test_fields_that_a_later_version_adds_are_ignored(kind: type[JsonRecord], content: JsonRecord) -> None:
    """This holds at every depth."""
    fields = orjson.loads(orjson.dumps(content))

    def grow(part: Any) -> Any:
        if isinstance(part, list):
            return [grow(each) for each in part]
        if not isinstance(part, dict) or part in (
            fields["event"]["attributes"],
            fields.get("policy", {}).get("labels"),
        ):
            return part
        return {**{name: grow(value) for name, value in part.items()}, "later": {"more": [1]}}

    grown = Record(PLACE, None, orjson.dumps(grow(fields)))
    assert b"later" in (grown.value or b"")
    assert kind.parse(grown) == content


def test_a_decision_with_a_field_that_a_later_version_adds_is_read() -> None:
    """A person's row with a misspelt key is still refused."""
    first, *_ = decisions()
    record = edited(wire.read_back(decision_record(first)), later=1)
    assert Decision.parse(record) == first
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Decision.model_validate({**first.model_dump(), "nota": "x"})


def test_a_record_without_a_type_has_the_type_of_its_topic() -> None:
    assert VerdictRecord.parse(replace(sent(), headers=())) == verdict_content(VERDICT)


@pytest.mark.parametrize(
    ("ce_type", "message"),
    [
        ("watchword.verdict.v2", "it has version 2, and this watchword reads version 1; upgrade it"),
        ("watchword.verdict.v0", "it has version 0, and this watchword reads version 1; use an earlier one"),
        ("watchword.flag.v1", "its `ce_type` is `watchword.flag.v1`; check the names of the topics in the settings"),
        ("com.example.sold", "its `ce_type` is `com.example.sold`; check the names"),
    ],
)
def test_another_version_and_another_kind_are_refused_with_what_to_do(ce_type: str, message: str) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        VerdictRecord.parse(with_type(sent(), ce_type))
    assert str(caught.value).startswith(f"moderation.verdicts/1/7 cannot be read as a verdict record: {message}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "invalid JSON"),
        (b"\xff", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"[]", "object"),
        (b"{}", "`event`: field required"),
    ],
)
def test_a_damaged_record_is_refused_with_its_position_and_field(value: bytes | None, message: str) -> None:
    with pytest.raises(
        UnreadableRecord, match=r"^moderation.verdicts/1/7 cannot be read as a verdict record: "
    ) as told:
        VerdictRecord.parse(replace(sent(), value=value))
    assert message in str(told.value)
    answer = {**asdict(verdict_content(VERDICT).policies[0]), "score": None}
    record = edited(sent(), policies=[answer])
    with pytest.raises(UnreadableRecord, match=r"`policies\.0\.score`: input should be a valid number"):
        VerdictRecord.parse(record)


def test_an_embedding_comes_back_with_its_event_and_picture() -> None:
    found = EmbeddingRecord.parse(wire.read_back(embedding_record(VERDICT)))
    event = VERDICT.image.event
    np.testing.assert_array_equal(found.vector, VERDICT.embedding)
    assert found.attributes() == event.attributes
    assert found.time() == datetime(2031, 5, 20, 12, 30, 15, 123_000, tzinfo=UTC)
    assert (found.headers.event_id, found.headers.origin) == (event.id, str(event.origin))
    assert found.thumbnail == VERDICT.image.thumbnail


def test_the_time_of_an_event_without_one_is_that_of_its_verdict() -> None:
    record = wire.read_back(embedding_record(VERDICT))
    headers = tuple((name, b"" if name == "event-time" else value) for name, value in record.headers)
    found = EmbeddingRecord.parse(replace(record, headers=headers))
    assert found.time().isoformat(timespec="milliseconds") == found.judged_at.replace("Z", "+00:00")


def test_a_dead_letter_separates_its_headers_from_the_records() -> None:
    """A record's own header may have the same name."""
    letter = wire.dead_letter(Origin("images", 3, 9))
    brought = (("ce_id", b"e1"), ("watchword-reason", b"mine"), ("watchword-offset", b"1"))
    found = DeadLetterRecord.parse(replace(letter, headers=(*brought, *letter.headers)))
    assert (found.own.reason, found.origin, found.event_id) == ("corrupt_image", Origin("images", 3, 9), "e1")
    assert found.event_headers == brought


@pytest.mark.parametrize(
    ("headers", "attempt"),
    [
        ((), 1),
        ((("watchword-attempt", b"2"),), 2),
        ((("watchword-attempt", b"9"), ("watchword-attempt", b"4")), 4),
        ((("watchword-attempt", b"many"),), 1),
        ((("watchword-attempt", b"-3"),), 1),
        ((("watchword-attempt", b"1" * 5000),), 1),
    ],
)
def test_a_record_is_at_its_first_attempt_unless_its_last_header_has_a_number(headers: Headers, attempt: int) -> None:
    assert attempt_of(headers) == attempt


def test_a_letter_keeps_the_identity_of_its_record() -> None:
    """Whole or truncated, the same record is the same letter; another time or value is another one."""
    record = Record(Origin("images", 0, 7), b"k", b"v" * 3000, (), 1_700_000_000_000)

    def identity(of: Record, limit_bytes: int = 1 << 20) -> LetterId:
        letter = DeadLetter(of, DeadLetterReason.EMPTY, "", datetime(2031, 5, 20, tzinfo=UTC))
        return DeadLetterRecord.parse(wire.read_back(dead_letter_record(letter, limit_bytes))).id

    assert identity(record) == identity(record, 1500)
    others = [replace(record, timestamp_ms=1), replace(record, value=b"w"), replace(record, timestamp_ms=None)]
    assert len({identity(record), *map(identity, others)}) == 4


RECORDS: dict[str, type[VerdictRecord | FlagRecord | EmbeddingRecord | DeadLetterRecord | Decision]] = {
    "verdicts": VerdictRecord,
    "flags": FlagRecord,
    "embeddings": EmbeddingRecord,
    "dead_letters": DeadLetterRecord,
    "decisions": Decision,
}


@pytest.mark.parametrize("name", RECORDS)
def test_each_recorded_record_is_read_and_matches_its_schema(name: str) -> None:
    kind = RECORDS[name]
    schema = Draft202012Validator(record_schema(kind.KIND), format_checker=FormatChecker())
    records = read_records(name)
    assert records
    for record in records:
        kind.parse(record)
        schema.validate(content(record, as_json=issubclass(kind, JsonRecord | Decision)))


def content(record: Record, *, as_json: bool) -> Any:
    if as_json:
        return json.loads(record.value or b"")
    return {name: value.decode() for name, value in record.headers if name != "thumbnail"}


def test_each_recorded_release_is_read_and_matches_its_schema() -> None:
    schema = Draft202012Validator(record_schema("release"), format_checker=FormatChecker())
    records = [each for each in read_records("policies") if not (each.key or b"").startswith(b"set/")]
    assert records
    for record in records:
        assert Release.parse(record).version > 0
        schema.validate(json.loads(record.value or b""))


def test_a_schema_is_named_by_its_kind_and_version() -> None:
    assert [record_schema(kind)["$id"] for kind in KINDS] == [
        "urn:watchword:verdict:v1",
        "urn:watchword:flag:v1",
        "urn:watchword:embedding:v1",
        "urn:watchword:dead_letter:v1",
        "urn:watchword:decision:v1",
        "urn:watchword:release:v1",
        "urn:watchword:dead_letter_handling:v1",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_describes_its_record_and_each_of_its_fields(kind: str) -> None:
    schema = record_schema(kind)
    assert schema["description"]
    assert [name for name, field in schema["properties"].items() if not {"description", "$ref"} & field.keys()] == []


def test_a_schema_describes_the_parts_of_a_record() -> None:
    definitions = record_schema("verdict")["$defs"]
    assert all(
        "description" in definitions[name] for name in ("PolicyAnswer", "EventFields", "ImageFields", "AuditDraw")
    )
