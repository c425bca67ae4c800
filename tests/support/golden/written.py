"""Records that are emitted for the fixed outcomes. After a move, re-point these imports."""

import json
from contextlib import nullcontext
from typing import Any
from unittest import mock

from pipeline.broker.producer import Message
from pipeline.emit.dead_letters import dead_letter_record
from pipeline.emit.decisions import decision_record
from pipeline.emit.handling import handling_record, requeued_message
from pipeline.emit.kafka import KafkaSink, OutputTopics
from pipeline.events.chunks import Chunk
from pipeline.events.records import Origin, Record
from pipeline.events.releases import Release
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.policies.compile import compose
from pipeline.releases import control_topic as control
from pipeline.releases.control_topic import ControlTopic, ReleaseRequest, publish
from tests.support.golden.files import content_fields
from tests.support.golden.outcomes import FIREARMS, POLICY_SET, TIME, dead_letters, decisions, handlings, verdicts

TOPICS = OutputTopics("flags", "verdicts", "embeddings", "dead-letters")
# Small, so that one of the dead letters is too large for its topic.
ADMITTED_BYTES = 8 << 10


def written() -> dict[str, list[str]]:
    """Return the lines of each kind of record: what the sink, decisions, two releases and a requeue send."""
    lines: dict[str, list[str]] = {}
    for message in [*_outcomes(), *_decisions(), *_releases(), *_handlings(), *_requeued()]:
        content = content_fields(message.key, message.headers, message.value)
        lines.setdefault(f"written-{message.topic}", []).append(json.dumps(content, ensure_ascii=False))
    return lines


class _Producer:
    """Keeps the messages of a transaction."""

    ready = False

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def recover(self) -> None: ...

    def commit(self, messages: list[Message], *_: object) -> None:
        self.messages += messages


class _Writer:
    """Keeps what is written to the control topic."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def write(self, values: dict[str, bytes]) -> None:
        self.messages += [Message("policies", key.encode(), value) for key, value in values.items()]


def _outcomes() -> list[Message]:
    producer: Any = _Producer()
    admitted = dict.fromkeys(TOPICS.names(), ADMITTED_BYTES)
    sink = KafkaSink(producer, TOPICS, input_topic="images", admitted=lambda: admitted)
    sink.recover()
    refused = sink.emit(Chunk((), (), None), verdicts(), dead_letters())
    assert not refused
    found: list[Message] = producer.messages
    return found


def _decisions() -> list[Message]:
    records = [decision_record(each) for each in decisions()]
    return [Message("decisions", record.key, record.value, record.headers) for record in records]


def _handlings() -> list[Message]:
    records = [handling_record(each) for each in handlings()]
    return [Message("dead-letter-handling", record.key, record.value, record.headers) for record in records]


def _requeued() -> list[Message]:
    """Return the records of the dead letters, put back on the input topic."""
    encoded = [dead_letter_record(letter, ADMITTED_BYTES) for letter in dead_letters()]
    origin = Origin("dead-letters", 0, 0)
    letters = [DeadLetterRecord.parse(Record(origin, each.key, each.value, each.headers)) for each in encoded]
    return [requeued_message(letter, "requeued", None) for letter in letters]


def _releases() -> list[Message]:
    """Return what the first release writes, and one after it with a canary."""
    small = compose([FIREARMS], POLICY_SET.background)
    first = ReleaseRequest(small, parent=0, author="ana")
    canary = ReleaseRequest(small, parent=1, author="bo", note="§ 7 – naïve", canary=POLICY_SET, canary_share=0.25)
    messages, release = _release(first, ControlTopic())
    later, _ = _release(canary, ControlTopic(releases={1: release}, current=release))
    return [*messages, *later]


def _release(proposal: ReleaseRequest, before: ControlTopic) -> tuple[list[Message], Release]:
    writer, clock = _Writer(), mock.Mock()
    clock.now.return_value = TIME
    with mock.patch.multiple(
        control, writing=lambda *_, **__: nullcontext(writer), read_published=lambda *_: before, datetime=clock
    ):
        connection: Any = None
        release = publish(connection, "policies", proposal, max_record_bytes=1 << 20)
    return writer.messages, release
