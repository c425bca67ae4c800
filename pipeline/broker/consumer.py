"""Member of a consumer group that knows the generation in which each record was polled."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaConsumer
from kafka.errors import (
    IllegalStateError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata, TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.broker.fencing import Fencing
from pipeline.broker.lenient import Unreadable, read_leniently
from pipeline.broker.members import remove_member
from pipeline.broker.positions import CommittedPositions
from pipeline.errors import BrokerFault, InstanceTaken
from pipeline.events.chunks import Chunk, Span
from pipeline.events.records import Origin, Record

log = structlog.get_logger()

# The longest time that a call stays in a join that is under way, and the length of its polls.
JOIN_S = 3.0
JOIN_POLL_MS = 200

# New partitions are noticed when metadata is fetched again.
METADATA_MAX_AGE_MS = 5000


class GroupConsumer:
    """
    One topic read as a member of a group. Used by one thread only.

    After any change of the group's generation `needs_rewind` is true, and nothing is handed out until `rewind` has
    sought the committed offsets: records polled before belong to a generation whose commits are refused. No callback of
    the client does anything; the change is read from the group's metadata, before and after each poll.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        group_id: str,
        instance_id: str,
        session_timeout_s: float,
        max_record_bytes: int,
        isolation_level: str = "read_committed",
        on_missed: Callable[[int], None] = lambda _: None,
        on_fenced: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic, self._connection, self._group_id, self._instance_id = topic, connection, group_id, instance_id
        self._committed = CommittedPositions(topic, on_missed, clock)
        self._clock, self._on_fenced = clock, on_fenced
        self._options: dict[str, Any] = {
            **connection.client_options(),
            "client_id": instance_id,
            "group_id": group_id,
            "group_instance_id": instance_id,
            "enable_auto_commit": False,
            "isolation_level": isolation_level,
            "auto_offset_reset": "none",
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
            "session_timeout_ms": int(session_timeout_s * 1000),
            "heartbeat_interval_ms": int(session_timeout_s * 1000 / 4),
            "max_partition_fetch_bytes": max(4 << 20, max_record_bytes),
            "fetch_max_wait_ms": 250,
            "allow_auto_create_topics": False,
        }
        self._consumer = self._join()
        self._fenced = Fencing(session_timeout_s, clock)
        self._generation: tuple[int, str] | None = None
        self._next: dict[TopicPartition, int] = {}
        self._held: deque[Record] = deque()
        self._needs_rewind = True

    @property
    def needs_rewind(self) -> bool:
        """Whether `rewind` must be called before more records are handed out."""
        return self._needs_rewind

    def request_rewind(self) -> None:
        """Hand nothing out before the next `rewind`."""
        self._needs_rewind = True

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None:
        """
        Return the records that have arrived, up to both caps (one record may exceed the bytes), or None.

        Raises `BrokerFault`, and `InstanceTaken` when another worker has the instance id too.
        """
        with self._fencing():
            if not self._held and not self._fetch(timeout_s, max_records):
                return None
            group_metadata = self.group_metadata()
            if self._lost(group_metadata):
                return None
            return self._take(max_records, max_bytes, group_metadata)

    def keep_alive(self, timeout_s: float) -> None:
        """Stay in the group without taking records: every assigned partition is paused during the call."""
        with self._fencing():
            self._consumer.pause(*self._consumer.assignment())
            leaked = self._client_poll(timeout_s, max_records=1)
            self._consumer.resume(*self._consumer.paused())
            # Only a partition assigned during this very call can have yielded a record; its position has moved.
            self._needs_rewind = self._needs_rewind or bool(leaked) or self._lost(self.group_metadata())

    def rewind(self, timeout_s: float) -> dict[int, int] | None:
        """
        Seek every assigned partition to its committed offset, waiting for transactions that are still open.

        Returns these offsets by partition and clears `needs_rewind`; None when there is no assignment yet or it changed
        meanwhile: call again. A partition without a commit starts at its beginning. Records that retention has removed
        before they were read are logged and counted. Raises `PositionLost` for an offset past the end of the log.
        """
        group_metadata = self.group_metadata()
        self._held.clear()
        with self._fencing():
            assigned = self._consumer.assignment()
            # While it joins, a member may have its new generation and still its old assignment.
            if not assigned or group_metadata.generation_id < 0 or group_metadata.state != MemberState.STABLE:
                return None
            positions = self._committed.settle(self._consumer, sorted(assigned), int(timeout_s * 1000))
            if positions is None:
                return None
            try:
                for partition, offset in positions.items():
                    self._consumer.seek(partition, offset)
            except (ValueError, IllegalStateError):
                return None  # unassigned while we asked
        if _identity(self.group_metadata()) != _identity(group_metadata) or self._consumer.assignment() != assigned:
            return None
        self._generation = _identity(group_metadata)
        self._next = positions
        self._needs_rewind = False
        return {partition.partition: offset for partition, offset in positions.items()}

    def commit(self, ends: Mapping[int, int]) -> None:
        """
        Commit the offset that each partition has been read up to, for a reader without transactions.

        Raises `CommitAborted` when this member is no longer in the group it read them in, and `BrokerFault`.
        """
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(end, "", -1) for partition, end in ends.items()
        }
        with translated():
            self._consumer.commit(offsets)

    def group_metadata(self) -> ConsumerGroupMetadata:
        """Return the current metadata of the group."""
        return self._consumer.group_metadata()

    def reached(self) -> dict[int, int]:
        """Return, by partition, the offset up to which every record was handed out, past markers of transactions."""
        held = {record.origin.partition for record in self._held}
        with translated():
            return {
                partition.partition: self._consumer.position(partition, timeout_ms=0) or 0
                for partition in self._next
                if partition.partition not in held and self._is_assigned(partition)
            }

    def close(self, timeout_s: float, *, leave: bool = False) -> None:
        """Close; without `leave`, the partitions stay this member's own until its session ends."""
        member_id = self.group_metadata().member_id
        with translated():
            self._consumer.close(autocommit=False, timeout_ms=int(timeout_s * 1000))
        if leave and member_id:
            remove_member(self._connection, self._group_id, self._instance_id, member_id)

    def _join(self) -> KafkaConsumer:
        with translated():
            return read_leniently(KafkaConsumer(self._topic, **self._options))

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """Translate the client's errors. A member that Kafka reports as replaced rejoins the first time."""
        self._fenced.note_call()
        try:
            with translated():
                yield
        except InstanceTaken as fenced:
            self._fenced.note_call()
            self._on_fenced()
            if self._fenced.repeated():
                raise
            self._rejoin()
            self._fenced.note_rejoin()
            raise BrokerFault(f"this member was replaced in its group and rejoins ({fenced})") from fenced
        finally:
            self._fenced.note_call()

    def _rejoin(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=1000)
        self._consumer = self._join()
        self._held.clear()
        self._generation = None
        self._needs_rewind = True

    def _is_assigned(self, partition: TopicPartition) -> bool:
        return partition in self._consumer.assignment()

    def _fetch(self, timeout_s: float, max_records: int) -> bool:
        polled = self._client_poll(timeout_s, max_records)
        if self._lost(self.group_metadata()):
            return False
        for partition, records in polled.items():
            if records and records[0].offset < self._next.get(partition, 0):
                log.error("records_before_position", partition=partition.partition, offset=records[0].offset)
                self._needs_rewind = True
                return False
        self._held.extend(to_record(found) for records in polled.values() for found in records)
        return bool(self._held)

    def _client_poll(self, timeout_s: float, max_records: int) -> dict[Any, list[Any]]:
        """
        Poll, and stay while a join is under way.

        kafka-python 3.0.12 drops a join that ends between two polls and begins another one, and the join of a group's
        leader makes every member rejoin: with other work between polls, a group may rejoin for ever. It also drops a
        rejoin that a metadata change triggered, if the poll ends first. The member is then neither in the group nor
        joining, without a heartbeat or an error, so the rejoin is triggered again here.
        """
        polled = self._positioned_poll(int(timeout_s * 1000), max_records)
        deadline = self._clock() + JOIN_S
        while not polled and self._joining() and self._clock() < deadline:
            self._consumer._coordinator.request_rejoin()  # noqa: SLF001
            polled = self._positioned_poll(JOIN_POLL_MS, max_records)
        return polled

    def _positioned_poll(self, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        """Poll; a position that the log does not have, or that was not sought yet, requires a rewind."""
        try:
            polled: dict[Any, list[Any]] = self._consumer.poll(timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError, LogTruncationError) as error:
            if not self._needs_rewind:
                log.warning("position_not_in_log", problem=repr(error))
            self._needs_rewind = True
            return {}
        return polled

    def _joining(self) -> bool:
        return bool(self.group_metadata().state == MemberState.REBALANCING)

    def _lost(self, group_metadata: ConsumerGroupMetadata) -> bool:
        self._check_heartbeat(group_metadata)
        if self._needs_rewind or _identity(group_metadata) != self._generation:
            self._needs_rewind = True
            self._held.clear()
        return self._needs_rewind

    def _check_heartbeat(self, group_metadata: ConsumerGroupMetadata) -> None:
        stable = group_metadata.state == MemberState.STABLE
        self._fenced.check_heartbeat(silent=stable and not self._consumer._coordinator._heartbeat_enabled)  # noqa: SLF001

    def _take(self, max_records: int, max_bytes: int, group_metadata: ConsumerGroupMetadata) -> Chunk:
        records: list[Record] = []
        size = 0
        while self._held and len(records) < max_records:
            size += self._held[0].size_bytes
            if records and size > max_bytes:
                break
            records.append(self._held.popleft())
        ends = {record.origin.partition: record.origin.offset + 1 for record in records}
        spans = []
        for partition, end in ends.items():
            topic_partition = TopicPartition(self._topic, partition)
            spans.append(Span(partition, self._next[topic_partition], end))
            self._next[topic_partition] = end
        return Chunk(tuple(records), tuple(spans), group_metadata)


def _identity(group_metadata: ConsumerGroupMetadata) -> tuple[int, str]:
    return group_metadata.generation_id, group_metadata.member_id


def to_record(found: Any) -> Record:
    """Return one of the client's records as ours."""
    unreadable = found.value.problem if isinstance(found.value, Unreadable) else None
    return Record(
        origin=Origin(found.topic, found.partition, found.offset),
        key=found.key,
        value=found.value if unreadable is None else bytes(found.value),
        headers=tuple((name, value) for name, value in found.headers),
        timestamp_ms=found.timestamp,
        unreadable=unreadable,
    )
