"""Writer of the topic of handled dead letters: one at a time, in transactions that may hold other records too."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.broker.producer import Message, TransactionalProducer, writer_id
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import admitted_by, ensure_topics
from pipeline.broker.topology import handling_topic
from pipeline.counted import counted
from pipeline.emit.handling import handling_record
from pipeline.errors import CommitAborted
from pipeline.events.wire.handling import Action, Handling, LetterId
from pipeline.operations.dead_letters.letters import Histories, LetterSummary, histories_of
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Author:
    """The person who handles letters, and why."""

    name: str
    note: str = ""


class HandlingWriter:
    """
    The only writer of the topic. Creating one ends the transaction of every earlier one, committed or not at all.

    `histories` were read after that, so they are complete, and stay so until this writer commits.
    """

    def __init__(self, workbench: Workbench, producer: TransactionalProducer) -> None:
        self._topic = workbench.settings.topic_dead_letter_handling
        self._producer = producer
        self._written = 0
        self.histories: Histories = histories_of(read_topics(workbench.connection, [self._topic]))

    def commit(self, handlings: Mapping[LetterId, Handling], messages: list[Message] | None = None) -> None:
        """Commit handlings, and other messages with them, all or none. Raises `CommitAborted`."""
        records = [handling_record(each) for each in handlings.values()]
        own = [Message(self._topic, record.key, record.value, record.headers) for record in records]
        try:
            self._producer.commit_records([*(messages or ()), *own])
        except CommitAborted as aborted:
            raise CommitAborted(
                f"stopped after {counted(self._written, 'letter')}, because a transaction failed or another "
                f"`dead-letters` command took over; run the command again: no letter is handled twice ({aborted})"
            ) from aborted
        self._written += len(own)


@contextmanager
def open_writer(workbench: Workbench, *topics: str) -> Iterator[HandlingWriter]:
    """
    Open the writer, which may also write to other `topics`. Creates the topic of handled letters if it is missing.

    Raises `UsageError`, `UnreadableRecord` and `BrokerFault`.
    """
    settings, connection = workbench.settings, workbench.connection
    topic = handling_topic(settings)
    ensure_topics(connection, [topic])
    admitted = admitted_by(connection, [topic.name, *topics])
    producer = TransactionalProducer(
        connection,
        instance_id=writer_id(topic.name),
        transactional_id=writer_id(topic.name),
        transaction_timeout_s=settings.transaction_timeout_s,
        commit_timeout_s=settings.commit_timeout_s,
        max_record_bytes=max(admitted.values()),
        max_batch_bytes=min(admitted.values()),
        compression=settings.output_compression,
    )
    with closing(producer):
        producer.recover()
        yield HandlingWriter(workbench, producer)


def handling_of(letter: LetterSummary, action: Action, author: Author, *, attempt: int | None = None) -> Handling:
    """Return the handling of a letter, with the current time."""
    return Handling(
        origin=letter.id.origin,
        timestamp_ms=letter.id.timestamp_ms,
        value_sha256=letter.id.value_sha256,
        reason=letter.reason,
        action=action,
        time=datetime.now(UTC),
        by=author.name,
        note=author.note,
        attempt=attempt,
    )
