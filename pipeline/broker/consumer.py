"""A member of a consumer group that knows which generation each record was polled in."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from pipeline.broker.lenient import Unreadable, read_leniently
from pipeline.errors import BrokerFault, InstanceTaken, PositionLost
from pipeline.events.chunks import Chunk, Span
from pipeline.events.records import Origin, Record

log = structlog.get_logger()

# A member in good standing whose client sends no heartbeat for so long has been fenced.
SILENCE_S = 2.0

# How long a call stays for a join that is on its way, in polls of so long.
JOIN_S = 3.0
JOIN_POLL_MS = 200

# New partitions are seen when metadata is asked for again.
METADATA_MAX_AGE_MS = 5000

# A position past the end that stays so this long is lost; a topic made again, or a new leader, shows one for a moment.
PAST_END_S = 5.0


class GroupConsumer:
    """
    One topic read as a member of a group. Used by one thread only.

    After any change of the group's generation `moved` is true and nothing is handed out until `rewind` has gone back to
    what is committed: what was polled before belongs to a generation whose commits are refused. No callback of the
    client does anything; the change is read from the membership itself, before and after each poll.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._on_missed = on_missed
        self._clock = clock
        self._session_timeout_s = session_timeout_s
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
        self._seen_at = clock()
        self._fenced_at: float | None = None
        self._generation: tuple[int, str] | None = None
        self._next: dict[TopicPartition, int] = {}
        self._held: deque[Record] = deque()
        self._silent_since: float | None = None
        self._past_end_since: float | None = None
        self.needs_rewind = True

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions this member read from since the last rewind."""
        return frozenset(place.partition for place in self._next)

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None:
        """
        Return what has arrived, up to both caps (one record may exceed the bytes), or None.

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
        """Stay in the group without taking records: everything assigned is paused for the length of the call."""
        with self._fencing():
            self._consumer.pause(*self._consumer.assignment())
            leaked = self._client_poll(timeout_s, max_records=1)
            self._consumer.resume(*self._consumer.paused())
            # Only a partition assigned during this very call can have yielded a record; its position has moved.
            self.needs_rewind = self.needs_rewind or bool(leaked) or self._lost(self.group_metadata())

    def rewind(self, timeout_s: float) -> dict[int, int] | None:
        """
        Seek every assigned partition to what is committed, waiting for transactions that are still open.

        Returns those positions by partition and clears `moved`; None when there is no assignment yet or it changed
        meanwhile: call again. A partition without a commit starts at its beginning. What retention has removed before
        it was read is logged and counted. Raises `PositionLost` for a position past the end of the log.
        """
        group_metadata = self.group_metadata()
        self._held.clear()
        with self._fencing():
            assigned = self._consumer.assignment()
            # While it joins, a member may have its new generation and still its old assignment.
            if not assigned or group_metadata.generation_id < 0 or group_metadata.state != MemberState.STABLE:
                return None
            positions = self._positions(sorted(assigned), int(timeout_s * 1000))
            if positions is None:
                return None
            try:
                for place, offset in positions.items():
                    self._consumer.seek(place, offset)
            except (ValueError, IllegalStateError):
                return None  # unassigned while we asked
        if _identity(self.group_metadata()) != _identity(group_metadata) or self._consumer.assignment() != assigned:
            return None
        self._generation = _identity(group_metadata)
        self._next = positions
        self.needs_rewind = False
        return {place.partition: offset for place, offset in positions.items()}

    def _positions(self, assigned: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int] | None:
        """Return where each partition is to be read from; None while one of them is past the end, for now."""
        starts = self._consumer.beginning_offsets(assigned, timeout_ms=timeout_ms)
        ends = self._consumer.end_offsets(assigned, timeout_ms=timeout_ms)
        committed = {place: self._consumer.committed(place, timeout_ms=timeout_ms) for place in assigned}
        past = {place: offset for place, offset in committed.items() if offset is not None and offset > ends[place]}
        if past:
            self._note_past_end(past, ends)
            return None
        self._past_end_since = None
        for place, offset in committed.items():
            if offset is None:
                log.info("no_committed_position", partition=place.partition, reading_from=starts[place])
            elif offset < starts[place]:
                self._note_missed(place, offset, starts[place])
        return {place: max(starts[place], committed[place] or 0) for place in assigned}

    def _note_past_end(self, past: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        now = self._clock()
        self._past_end_since = now if self._past_end_since is None else self._past_end_since
        told = ", ".join(f"partition {p.partition}: committed {past[p]}, the log ends at {ends[p]}" for p in past)
        log.warning("position_past_end", positions=told)
        if now - self._past_end_since >= PAST_END_S:
            raise PositionLost(f"`{self._topic}`: {told}")

    def _note_missed(self, place: TopicPartition, committed: int, start: int) -> None:
        log.error("records_missed", partition=place.partition, committed=committed, log_starts_at=start)
        self._on_missed(start - committed)

    def commit(self, ends: Mapping[int, int]) -> None:
        """
        Commit how far each partition has been read, for a reader without transactions.

        Raises `CommitAborted` when this member is no longer in the group it read them in, and `BrokerFault`.
        """
        offsets = {TopicPartition(self._topic, place): OffsetAndMetadata(end, "", -1) for place, end in ends.items()}
        with translated():
            self._consumer.commit(offsets)

    def group_metadata(self) -> ConsumerGroupMetadata:
        """Return the group's metadata as of now."""
        return self._consumer.group_metadata()

    def reached(self) -> dict[int, int]:
        """Return, by partition, the offset before which nothing is left to hand out, markers of transactions passed."""
        held = {record.origin.partition for record in self._held}
        with translated():
            return {
                place.partition: self._consumer.position(place, timeout_ms=0) or 0
                for place in self._next
                if place.partition not in held and self._is_assigned(place)
            }

    def close(self, timeout_s: float) -> None:
        """Leave; a static member's partitions stay its own until the session ends."""
        with translated():
            self._consumer.close(autocommit=False, timeout_ms=int(timeout_s * 1000))

    def _join(self) -> KafkaConsumer:
        with translated():
            return read_leniently(KafkaConsumer(self._topic, **self._options))

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """
        Translate the client's errors; told that it was replaced, this member joins anew the first time.

        A client that lost its session may ask to join twice, and its second asking then fences its first: nobody else
        is there, and joining anew is all it takes. Between two workers under one instance id each joining fences the
        other, so one of them is soon fenced again, and ends. One that was itself away for long (a stopped process, a
        suspended machine) has lost its session once more, and what fenced it before says nothing about it.
        """
        self._notice_absence()
        try:
            with translated():
                yield
        except InstanceTaken as fenced:
            self._notice_absence()
            now, before = self._clock(), self._fenced_at
            if before is not None and now - before < 2 * self._session_timeout_s:
                raise
            self._join_anew()
            self._fenced_at = now
            raise BrokerFault(f"this member was replaced in its group and joins anew ({fenced})") from fenced
        finally:
            self._notice_absence()

    def _notice_absence(self) -> None:
        now = self._clock()
        if now - self._seen_at > self._session_timeout_s / 2:
            self._fenced_at = None
        self._seen_at = now

    def _join_anew(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=1000)
        self._consumer = self._join()
        self._held.clear()
        self._generation, self._silent_since = None, None
        self.needs_rewind = True

    def _is_assigned(self, place: TopicPartition) -> bool:
        return place in self._consumer.assignment()

    def _fetch(self, timeout_s: float, max_records: int) -> bool:
        polled = self._client_poll(timeout_s, max_records)
        if self._lost(self.group_metadata()):
            return False
        for place, records in polled.items():
            if records and records[0].offset < self._next.get(place, 0):
                log.error("records_before_position", partition=place.partition, offset=records[0].offset)
                self.needs_rewind = True
                return False
        self._held.extend(to_record(found) for records in polled.values() for found in records)
        return bool(self._held)

    def _client_poll(self, timeout_s: float, max_records: int) -> dict[Any, list[Any]]:
        """
        Poll, and stay while a join is on its way.

        kafka-python 3.0.12 drops a join that ends between two polls and begins another, and that of a group's leader
        makes everyone join again: with other work between its polls a group can go round for ever. And it forgets a
        join that new metadata asked for when the poll ends first: the member is then neither in the group nor on its
        way, without a heartbeat or an error, unless the join is asked for again.
        """
        polled = self._positioned_poll(int(timeout_s * 1000), max_records)
        deadline = self._clock() + JOIN_S
        while not polled and self._joining() and self._clock() < deadline:
            self._consumer._coordinator.request_rejoin()  # noqa: SLF001
            polled = self._positioned_poll(JOIN_POLL_MS, max_records)
        return polled

    def _positioned_poll(self, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        """Poll; a position that the log does not have, or that was not sought yet, is for `rewind` to settle."""
        try:
            polled: dict[Any, list[Any]] = self._consumer.poll(timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError, LogTruncationError) as error:
            if not self.needs_rewind:
                log.warning("position_not_in_log", problem=repr(error))
            self.needs_rewind = True
            return {}
        return polled

    def _joining(self) -> bool:
        return bool(self.group_metadata().state == MemberState.REBALANCING)

    def _lost(self, group_metadata: ConsumerGroupMetadata) -> bool:
        self._check_heartbeat(group_metadata)
        if self.needs_rewind or _identity(group_metadata) != self._generation:
            self.needs_rewind = True
            self._held.clear()
        return self.needs_rewind

    def _check_heartbeat(self, group_metadata: ConsumerGroupMetadata) -> None:
        """
        Raise `InstanceTaken` once the client has given up its heartbeat as a member in good standing.

        When another member joins under this instance id the client only logs it and falls silent, so it is looked for
        where it leaves its mark. A join in progress may look the same for a moment.
        """
        silent = group_metadata.state == MemberState.STABLE and not self._consumer._coordinator._heartbeat_enabled  # noqa: SLF001
        now = self._clock()
        if not silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > SILENCE_S:
            raise InstanceTaken("another member of the group joined under the same instance id")

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
            place = TopicPartition(self._topic, partition)
            spans.append(Span(partition, self._next[place], end))
            self._next[place] = end
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
