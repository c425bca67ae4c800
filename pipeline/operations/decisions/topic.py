"""The decisions' topic: the decisions that count, and new ones sent to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import decision_topic
from pipeline.counted import counted
from pipeline.emit.decisions import decision_record
from pipeline.evaluation.decisions.standing import decisions, latest
from pipeline.events.decisions import Decision
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class SentDecisions:
    """Numbers of decisions `sent`, and `superseded` by a later one on the topic, so that they were left out."""

    sent: int
    superseded: int


def read_decisions(workbench: Workbench, since: datetime | None = None) -> list[Decision]:
    """
    Return the last decision about each policy and event, those made at `since` or later.

    Creates the topic if it is missing. Raises `BrokerFault`.
    """
    topic = decision_topic(workbench.settings)
    ensure_topics(workbench.connection, [topic])
    found = latest(decisions(read_topics(workbench.connection, [topic.name])))
    return [each for each in found if since is None or each.time >= since]


def send_decisions(workbench: Workbench, given: Sequence[Decision]) -> SentDecisions:
    """
    Send decisions to their topic. Creates the topic if it is missing; raises `BrokerFault`.

    A decision older than the topic's about the same policy and event is left out, with a notice: compaction keeps the
    record that was sent last, so the older decision would replace the one that counts.
    """
    topic = decision_topic(workbench.settings)
    known = {each.about: each.time for each in read_decisions(workbench)}
    new = [each for each in given if each.about not in known or each.time >= known[each.about]]
    superseded = len(given) - len(new)
    if superseded:
        workbench.progress.notify(
            f"{counted(superseded, 'decision')} left out: the topic has later ones about the same policy and event"
        )
    with Publisher(workbench.connection, max_record_bytes=topic.max_message_bytes) as publisher:
        for decision in new:
            record = decision_record(decision)
            publisher.send(Message(topic.name, record.key, record.value, record.headers))
    return SentDecisions(len(new), superseded)
