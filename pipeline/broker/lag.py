"""Lag of a consumer group, read from the broker, so it is known even when no worker runs."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.topics import describe, partitions_of

READ_COMMITTED = "read_committed"


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A group's position on one partition. `committed` is None before a commit; `start` and `end` are offsets."""

    partition: int
    committed: int | None
    start: int
    end: int

    @property
    def records(self) -> int:
        """Number of records between the committed offset and the end, transaction markers included."""
        return max(0, self.end - max(self.start, self.committed or 0))

    @property
    def missed(self) -> int:
        """Number of records that retention removed before they were read."""
        return 0 if self.committed is None else max(0, self.start - self.committed)


def lag_of(connection: Connection, group_id: str, topic: str) -> list[PartitionLag]:
    """Return a group's lag on every partition of a topic, even when no worker runs. Raises `BrokerFault`."""
    partitions = partitions_of(connection, [topic])
    if not partitions:
        return []
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
            ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST), READ_COMMITTED)
        finally:
            admin.close()
        consumer = KafkaConsumer(**connection.client_options(), group_id=group_id, enable_auto_commit=False)
        try:
            committed = {partition: consumer.committed(partition, timeout_ms=30_000) for partition in partitions}
        finally:
            consumer.close()
    return [PartitionLag(p.partition, committed[p], starts[p].offset, ends[p].offset) for p in partitions]


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of some topics: the end offsets of the first topic's partitions, and the names of missing topics."""

    ends: Mapping[int, int]
    missing: frozenset[str]


class TopicWatch:
    """Checks topics over one connection. Used by one thread."""

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self._options = {**connection.options(), "request_timeout_ms": int(timeout_s * 1000)}
        self._options["bootstrap_timeout_ms"] = int(timeout_s * 1000)
        self._admin: KafkaAdminClient | None = None

    def look(self, topics: Sequence[str]) -> Seen:
        """Return the end offsets of the first of `topics`, at `read_committed`. Raises `BrokerFault`."""
        with self._asking() as admin:
            described = {each["name"]: each["partitions"] for each in describe(admin, topics)}
            first = [TopicPartition(topics[0], each["partition_index"]) for each in described.get(topics[0], ())]
            found = (
                admin.list_partition_offsets(dict.fromkeys(first, OffsetSpec.LATEST), READ_COMMITTED) if first else {}
            )
        missing = frozenset(topic for topic in topics if not described.get(topic))
        return Seen({partition.partition: found[partition].offset for partition in first}, missing)

    def close(self) -> None:
        """Close the connection, if there is one."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError):
                admin.close()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[KafkaAdminClient]:
        with translated():
            try:
                self._admin = self._admin or KafkaAdminClient(**self._options)
                yield self._admin
            except KafkaError:
                self.close()
                raise
