"""How far a group is behind: asked of the broker, so that it is known whether a worker runs or not."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.topics import partitions_of

READ_COMMITTED = "read_committed"


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A group's position on one partition: `committed` is None before its first commit; both ends are offsets."""

    partition: int
    committed: int | None
    start: int
    end: int

    @property
    def records(self) -> int:
        """Records between what was committed and the end, markers of transactions included."""
        return max(0, self.end - max(self.start, self.committed or 0))

    @property
    def missed(self) -> int:
        """Records that retention removed before they were read."""
        return 0 if self.committed is None else max(0, self.start - self.committed)


def lag_of(connection: Connection, group_id: str, topic: str) -> list[PartitionLag]:
    """Return a group's lag on every partition of a topic, whether a worker runs or not. Raises `BrokerFault`."""
    places = partitions_of(connection, [topic])
    if not places:
        return []
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            starts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST), READ_COMMITTED)
        finally:
            admin.close()
        consumer = KafkaConsumer(**connection.client_options(), group_id=group_id, enable_auto_commit=False)
        try:
            committed = {place: consumer.committed(place, timeout_ms=30_000) for place in places}
        finally:
            consumer.close()
    return [PartitionLag(p.partition, committed[p], starts[p].offset, ends[p].offset) for p in places]


class EndWatch:
    """Asks for the ends of partitions and the names of topics over one connection. Used by one thread."""

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self._options = {**connection.options(), "request_timeout_ms": int(timeout_s * 1000)}
        self._options["bootstrap_timeout_ms"] = int(timeout_s * 1000)
        self._admin: KafkaAdminClient | None = None

    def ends(self, topic: str) -> dict[int, int]:
        """Return, by partition, where it ends for a reader at `read_committed`. Raises `BrokerFault`."""
        with self._asking() as admin:
            [described] = admin.describe_topics([topic])
            places = [TopicPartition(topic, each["partition_index"]) for each in described["partitions"]]
            found = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST), READ_COMMITTED)
        return {place.partition: found[place].offset for place in places}

    def topics(self) -> frozenset[str]:
        """Return the names of all topics. Raises `BrokerFault`."""
        with self._asking() as admin:
            return frozenset(admin.list_topics())

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
