"""A compacted topic of one partition as a table, with many readers and one writer at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import structlog
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.consumer import to_record
from pipeline.broker.lenient import read_leniently
from pipeline.broker.producer import Message, send_message
from pipeline.errors import BrokerFault
from pipeline.events.records import Record

log = structlog.get_logger()

POLL_MS = 1000
# The number of polls in a row without a record after which reading fails; records here are small and rare.
PATIENCE_POLLS = 30
ANSWER_S = 30.0

# A topic that was deleted and recreated is noticed when the client fetches metadata again.
METADATA_MAX_AGE_MS = 2000


class TableReader:
    """
    Reads the committed records of a topic, from its beginning on. Used by one thread at a time.

    A topic that was recreated is read again from its start. `began_again` tells whether the last `read_new` found this;
    the records read before are then no longer valid.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._partition = TopicPartition(topic, 0)
        self._read: list[Record] = []
        self._topic_id: object = None
        self.began_again = False
        with translated():
            self._consumer = read_leniently(
                KafkaConsumer(
                    **connection.client_options(),
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                    auto_offset_reset="earliest",
                    max_partition_fetch_bytes=16 << 20,
                    metadata_max_age_ms=METADATA_MAX_AGE_MS,
                    allow_auto_create_topics=False,
                )
            )
            self._consumer.assign([self._partition])
            self._consumer.seek_to_beginning(self._partition)

    def read_new(self) -> list[Record]:
        """Return the records committed since the last call, up to the current end. Raises `BrokerFault`."""
        with translated():
            end = self._consumer.end_offsets([self._partition])[self._partition]
            self._restart_if_recreated(end)
            silent = 0
            while (self._consumer.position(self._partition) or 0) < end:
                polled = self._consumer.poll(timeout_ms=POLL_MS)
                silent = 0 if polled else silent + 1
                if silent > PATIENCE_POLLS:
                    raise BrokerFault(f"`{self._partition.topic}` cannot be read to its end, which is at {end}")
                read = [to_record(each) for records in polled.values() for each in records]
                self._read += [record for record in read if _readable(record)]
        found, self._read = self._read, []
        return found

    def _restart_if_recreated(self, end: int) -> None:
        topic_id = self._consumer._manager.cluster.topic_id(self._partition.topic)  # noqa: SLF001 -- there is no public way
        other = self._topic_id is not None and topic_id is not None and topic_id != self._topic_id
        self.began_again = other or end < (self._consumer.position(self._partition) or 0)
        self._topic_id = topic_id or self._topic_id
        if self.began_again:
            log.warning("topic_made_again", topic=self._partition.topic)
            self._read.clear()
            self._consumer.seek_to_beginning(self._partition)

    def close(self) -> None:
        """Close without waiting."""
        self._consumer.close(timeout_ms=1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _readable(record: Record) -> bool:
    if record.unreadable is not None:
        log.error("record_ignored", origin=str(record.origin), problem=record.unreadable)
    return record.unreadable is None


def writer_id(topic: str) -> str:
    """Return the transactional id of a topic's writer."""
    return f"watchword-writer-{topic}"


class TableWriter:
    """
    The only writer of a topic: creating one fences every earlier one.

    The uncommitted records of earlier writers are never committed. The table read after creating a writer is therefore
    current until `write` commits.
    """

    def __init__(self, connection: Connection, topic: str, *, max_record_bytes: int) -> None:
        self._topic = topic
        with translated():
            self._producer = KafkaProducer(
                **connection.client_options(),
                transactional_id=writer_id(topic),
                transaction_timeout_ms=int(ANSWER_S * 1000),
                max_request_size=max_record_bytes + (1 << 20),
                compression_type="lz4",
                allow_auto_create_topics=False,
            )
            self._producer.init_transactions()

    def write(self, values: Mapping[str, bytes]) -> None:
        """Commit values by key, all or none. Raises `CommitAborted` when another writer was created meanwhile."""
        with translated():
            self._producer.begin_transaction()
            sent = [
                send_message(self._producer, Message(self._topic, key.encode(), value)) for key, value in values.items()
            ]
            self._producer.flush(timeout=ANSWER_S)
            for each in sent:
                each.get(timeout=ANSWER_S)
            self._producer.commit_transaction()

    def close(self) -> None:
        """Close; uncommitted records are dropped."""
        self._producer.close(timeout=1)


@contextmanager
def writing(connection: Connection, topic: str, *, max_record_bytes: int) -> Iterator[TableWriter]:
    """Create the writer of a topic, and close it at the end of the context."""
    writer = TableWriter(connection, topic, max_record_bytes=max_record_bytes)
    try:
        yield writer
    finally:
        writer.close()
