"""Readers of topics without a group: to the current end, by time range, following, or by offset."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.consumer import to_record
from pipeline.broker.lenient import read_leniently
from pipeline.broker.topics import ends_of, partitions_of
from pipeline.errors import BrokerFault, UsageError
from pipeline.events.records import Origin, Record

POLL_MS = 250
# The interval at which `follow_topic` looks for new partitions.
PARTITIONS_S = 30.0


def read_topics(connection: Connection, topics: Sequence[str], *, patience_s: float = 30.0) -> Iterator[Record]:
    """
    Yield every committed record of `topics`, up to the end of each partition at the time of the call.

    For records in a transaction that is open at that time, wait until it is committed or aborted. Raises `BrokerFault`
    when nothing arrives for `patience_s` before the end.
    """
    yield from _read(connection, topics, None, patience_s)


def read_range(
    connection: Connection, topic: str, since: datetime | None, until: datetime | None, *, patience_s: float = 30.0
) -> Iterator[Record]:
    """
    Yield the committed records of `topic` with timestamps from `since` on and before `until`.

    Raises `UsageError` when the topic does not exist, and the errors of `read_topics`.
    """
    if not partitions_of(connection, [topic]):
        raise UsageError(f"there is no topic `{topic}`")
    until_ms = None if until is None else until.timestamp() * 1000
    since_ms = None if since is None else since.timestamp() * 1000
    for record in _read(connection, [topic], since, patience_s):
        time_ms = record.timestamp_ms or 0
        # Timestamps within a partition need not increase, so a late one does not end the reading.
        if (until_ms is None or time_ms < until_ms) and (since_ms is None or time_ms >= since_ms):
            yield record


def follow_topic(connection: Connection, topic: str, since: datetime | None) -> Iterator[Record]:
    """
    Yield the committed records of `topic` from `since` on, or from its beginning, and then new records for ever.

    Partitions that are added meanwhile are read too. Raises `UsageError` when the topic does not exist, and
    `BrokerFault`.
    """
    partitions = partitions_of(connection, [topic])
    if not partitions:
        raise UsageError(f"there is no topic `{topic}`")
    since_ms = None if since is None else since.timestamp() * 1000
    with translated():
        consumer = read_leniently(KafkaConsumer(**_reading(connection)))
        try:
            consumer.assign(partitions)
            _start(consumer, partitions, ends_of(connection, partitions), since)
            looked = time.monotonic()
            while True:
                for found in consumer.poll(timeout_ms=POLL_MS, max_records=1000).values():
                    for record in map(to_record, found):
                        if since_ms is None or (record.timestamp_ms or 0) >= since_ms:
                            yield record
                if time.monotonic() - looked > PARTITIONS_S:
                    partitions, looked = _with_added(connection, consumer, topic, partitions), time.monotonic()
        finally:
            consumer.close()


class OffsetReader:
    """Reads single records by topic, partition and offset. Used by one thread at a time."""

    def __init__(self, connection: Connection, *, patience_s: float = 10.0) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._known: set[TopicPartition] = set()
        with translated():
            self._consumer = read_leniently(
                KafkaConsumer(**connection.client_options(), enable_auto_commit=False, isolation_level="read_committed")
            )

    def read(self, origin: Origin) -> Record | None:
        """Return a record; None if it is no longer retained or never existed. Raises `BrokerFault`."""
        partition = TopicPartition(origin.topic, origin.partition)
        if partition not in self._known:
            self._known |= set(partitions_of(self._connection, [origin.topic]))
        if partition not in self._known:
            return None
        with translated():
            self._consumer.assign([partition])
            first = self._consumer.beginning_offsets([partition])[partition]
            if not first <= origin.offset < self._consumer.end_offsets([partition])[partition]:
                return None
            self._consumer.seek(partition, origin.offset)
            polled = self._consumer.poll(timeout_ms=int(self._patience_s * 1000), max_records=1)
        for found in polled.get(partition, ()):
            return to_record(found) if found.offset == origin.offset else None
        return None

    def close(self) -> None:
        """Close without waiting."""
        self._consumer.close(timeout_ms=1000)


def _read(connection: Connection, topics: Sequence[str], since: datetime | None, patience_s: float) -> Iterator[Record]:
    partitions = partitions_of(connection, topics)
    if not partitions:
        return
    # These ends include open transactions. The ends at `read_committed` would leave out records about to be committed.
    ends = ends_of(connection, partitions)
    with translated():
        consumer = read_leniently(KafkaConsumer(**_reading(connection)))
        try:
            consumer.assign(partitions)
            _start(consumer, partitions, ends, since)
            at, quiet_since = _positions(consumer, partitions), time.monotonic()
            while any(at[partition] < ends[partition] for partition in partitions):
                # A short poll, because aborted transactions advance the position without yielding a record.
                polled = consumer.poll(timeout_ms=POLL_MS, max_records=1000)
                before, at = at, _positions(consumer, partitions)
                if polled or at != before:
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since > patience_s:
                    raise BrokerFault(f"nothing arrived for {patience_s} s before the end of {', '.join(topics)}")
                for partition, found in polled.items():
                    yield from (to_record(each) for each in found if each.offset < ends[partition])
                    quiet_since = time.monotonic()
        finally:
            consumer.close()


def _reading(connection: Connection) -> dict[str, Any]:
    return {
        **connection.client_options(),
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
    }


def _with_added(
    connection: Connection, consumer: KafkaConsumer, topic: str, partitions: list[TopicPartition]
) -> list[TopicPartition]:
    """Return the topic's current partitions, after assigning new ones to the consumer, from their beginning."""
    try:
        added = [partition for partition in partitions_of(connection, [topic]) if partition not in partitions]
    except BrokerFault:
        return partitions  # the consumer itself waits for the broker
    if added:
        positions = _positions(consumer, partitions)
        consumer.assign([*partitions, *added])
        for partition, position in positions.items():
            consumer.seek(partition, position)
        consumer.seek_to_beginning(*added)
    return [*partitions, *added]


def _positions(consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    return {partition: consumer.position(partition) or 0 for partition in partitions}


def _start(
    consumer: KafkaConsumer,
    partitions: Sequence[TopicPartition],
    ends: Mapping[TopicPartition, int],
    since: datetime | None,
) -> None:
    """Seek to the first record from `since` on, or to the beginning."""
    if since is None:
        consumer.seek_to_beginning(*partitions)
        return
    first = consumer.offsets_for_times({partition: max(0, int(since.timestamp() * 1000)) for partition in partitions})
    for partition in partitions:
        consumer.seek(partition, first[partition].offset if first.get(partition) else ends[partition])
