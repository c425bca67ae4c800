"""Reading of a stream's outcomes: flags, verdicts and dead letters."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.broker.reader import follow_topic, read_range, read_topics
from pipeline.errors import UsageError
from pipeline.events.records import Record
from pipeline.events.wire.raw import json_fields
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings

FLAGS = "flags"
VERDICTS = "verdicts"
DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """
    A selection of outcomes.

    `kind`: `flags`, `verdicts` or `dead-letters`. `policy`: only flags of this policy, or verdicts in which it flags.
    `since`: only outcomes of that time or later. With `follow`, reading continues with new outcomes.
    """

    kind: str
    policy: str | None = None
    since: datetime | None = None
    follow: bool = False


def read_outcomes(workbench: Workbench, query: OutcomeQuery) -> Generator[Record, None, None]:
    """Yield the records of committed outcomes. Raises `UsageError` for an invalid query, and `BrokerFault`."""
    topic = _topic(workbench.settings, query)
    for record in _records(workbench, topic, query):
        if query.policy is None or _names_policy(record, query.kind, query.policy):
            yield record


def _topic(settings: Settings, query: OutcomeQuery) -> str:
    topics = {
        FLAGS: settings.topic_flags,
        VERDICTS: settings.topic_verdicts,
        DEAD_LETTERS: settings.topic_dead_letters,
    }
    if query.kind not in topics:
        raise UsageError(f"`{query.kind}` is not an outcome; choose {', '.join(f'`{name}`' for name in topics)}")
    if query.policy is not None and query.kind == DEAD_LETTERS:
        raise UsageError("`--policy` is for flags and verdicts: no policy judged a dead letter")
    return topics[query.kind]


def _records(workbench: Workbench, topic: str, query: OutcomeQuery) -> Iterator[Record]:
    if query.follow:
        return follow_topic(workbench.connection, topic, query.since)
    if query.since is None:
        return read_topics(workbench.connection, [topic])
    return read_range(workbench.connection, topic, query.since, None)


def _names_policy(record: Record, kind: str, policy: str) -> bool:
    """Tell whether a record is a flag of the policy, or a verdict in which the policy flags the image."""
    fields = json_fields(record)
    if kind == FLAGS:
        return bool(_id(fields.get("policy")) == policy)
    answers = fields.get("policies")
    return isinstance(answers, list) and any(
        _id(answer) == policy and answer.get("flagged") is True for answer in answers
    )


def _id(fields: Any) -> Any:
    return fields.get("id") if isinstance(fields, dict) else None
