"""The newest records of a topic."""

import time
from collections.abc import Sequence

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.consumer import to_record
from pipeline.broker.lenient import read_leniently
from pipeline.broker.topics import partitions_of
from pipeline.events.records import Record

POLL_MS = 100
# Offsets looked at for each record wanted: transactions leave offsets without a record.
_OFFSETS_PER_RECORD = 4


def last_records(connection: Connection, topic: str, count: int, *, patience_s: float = 2.0) -> list[Record]:
    """
    Return up to `count` of the newest committed records of a topic, the newest first; none without a topic.

    What has not arrived within `patience_s` is left out. Raises `BrokerFault`.
    """
    partitions = partitions_of(connection, [topic])
    if not partitions:
        return []
    with translated():
        consumer = read_leniently(
            KafkaConsumer(**connection.client_options(), enable_auto_commit=False, isolation_level="read_committed")
        )
        try:
            found = _read_tail(consumer, partitions, count, patience_s)
        finally:
            consumer.close()
    return sorted(found, key=lambda each: each.timestamp_ms or 0, reverse=True)[:count]


def _read_tail(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition], count: int, patience_s: float
) -> list[Record]:
    consumer.assign(partitions)
    starts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(starts[partition], ends[partition] - count * _OFFSETS_PER_RECORD))
    found: list[Record] = []
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any((consumer.position(each) or 0) < ends[each] for each in partitions):
        polled = consumer.poll(timeout_ms=POLL_MS, max_records=1000)
        found += [to_record(each) for records in polled.values() for each in records]
    return found
