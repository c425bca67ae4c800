"""A compacted topic of one partition as a table: followed by many, written by one at a time."""

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
# Reading to the end may not take longer; what is written here is small and rare.
PATIENCE_POLLS = 30
ANSWER_S = 30.0


# A topic that was deleted and made again is noticed when metadata is asked for again.
METADATA_MAX_AGE_MS = 2000


class TableReader:
    """
    Reads what is committed to a topic, from its beginning on. Used by one thread at a time.

    A topic that was made again is read from its start: `began_again` says so of the last call of `news`, and what was
    read before is no longer there.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._place = TopicPartition(topic, 0)
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
            self._consumer.assign([self._place])
            self._consumer.seek_to_beginning(self._place)

    def read_new(self) -> list[Record]:
        """Return what was committed since the last call, up to where the topic ends now. Raises `BrokerFault`."""
        with translated():
            end = self._consumer.end_offsets([self._place])[self._place]
            self._begin_again_if_made_again(end)
            silent = 0
            while (self._consumer.position(self._place) or 0) < end:
                polled = self._consumer.poll(timeout_ms=POLL_MS)
                silent = 0 if polled else silent + 1
                if silent > PATIENCE_POLLS:
                    raise BrokerFault(f"`{self._place.topic}` cannot be read to its end, which is at {end}")
                read = [to_record(each) for records in polled.values() for each in records]
                self._read += [record for record in read if _readable(record)]
        found, self._read = self._read, []
        return found

    def _begin_again_if_made_again(self, end: int) -> None:
        topic_id = self._consumer._manager.cluster.topic_id(self._place.topic)  # noqa: SLF001 -- asked for nowhere else
        other = self._topic_id is not None and topic_id is not None and topic_id != self._topic_id
        self.began_again = other or end < (self._consumer.position(self._place) or 0)
        self._topic_id = topic_id or self._topic_id
        if self.began_again:
            log.warning("topic_made_again", topic=self._place.topic)
            self._read.clear()
            self._consumer.seek_to_beginning(self._place)

    def close(self) -> None:
        """Close without waiting."""
        self._consumer.close(timeout_ms=1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _readable(record: Record) -> bool:
    if record.unreadable is not None:
        log.error("record_left_out", origin=str(record.origin), problem=record.unreadable)
    return record.unreadable is None


class TableWriter:
    """
    The right to write: whoever takes it takes it from everyone else.

    What another had not committed by then never will be, so that what is read after taking it is what holds until
    `write` has committed.
    """

    def __init__(self, connection: Connection, topic: str, *, max_record_bytes: int) -> None:
        self._topic = topic
        with translated():
            self._producer = KafkaProducer(
                **connection.client_options(),
                transactional_id=f"watchword-writer-{topic}",
                transaction_timeout_ms=int(ANSWER_S * 1000),
                max_request_size=max_record_bytes + (1 << 20),
                compression_type="lz4",
                allow_auto_create_topics=False,
            )
            self._producer.init_transactions()

    def write(self, values: Mapping[str, bytes]) -> None:
        """Commit values by key, all or none. Raises `CommitAborted` when another has taken the right meanwhile."""
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
        """Close; what was not committed is dropped."""
        self._producer.close(timeout=1)


@contextmanager
def writing(connection: Connection, topic: str, *, max_record_bytes: int) -> Iterator[TableWriter]:
    """Hold the right to write for the length of the context."""
    writer = TableWriter(connection, topic, max_record_bytes=max_record_bytes)
    try:
        yield writer
    finally:
        writer.close()
