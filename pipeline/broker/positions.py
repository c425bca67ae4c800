"""Positions of a group's member: the committed offsets, checked against the log."""

from collections.abc import Callable, Mapping, Sequence

import structlog
from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from pipeline.errors import PositionLost

log = structlog.get_logger()

# An offset that stays past the end for this long is lost. After a topic was recreated, or its leader changed, an offset
# may be past the end for a moment.
PAST_END_S = 5.0


class CommittedPositions:
    """
    The committed offsets of one topic's partitions.

    `on_missed` is called with the number of records that retention removed before they were read.
    """

    def __init__(self, topic: str, on_missed: Callable[[int], None], clock: Callable[[], float]) -> None:
        self._topic, self._on_missed, self._clock = topic, on_missed, clock
        self._past_end_since: float | None = None

    def settle(
        self, consumer: KafkaConsumer, assigned: Sequence[TopicPartition], timeout_ms: int
    ) -> dict[TopicPartition, int] | None:
        """
        Return the start offset of each partition, or None while a committed offset is past the end.

        A partition without a commit starts at its beginning. Raises `PositionLost` when an offset stays past the end.
        """
        starts = consumer.beginning_offsets(assigned, timeout_ms=timeout_ms)
        ends = consumer.end_offsets(assigned, timeout_ms=timeout_ms)
        committed = {partition: consumer.committed(partition, timeout_ms=timeout_ms) for partition in assigned}
        past = {
            partition: offset
            for partition, offset in committed.items()
            if offset is not None and offset > ends[partition]
        }
        if past:
            self._note_past_end(past, ends)
            return None
        self._past_end_since = None
        for partition, offset in committed.items():
            if offset is None:
                log.info("no_committed_position", partition=partition.partition, reading_from=starts[partition])
            elif offset < starts[partition]:
                self._note_missed(partition, offset, starts[partition])
        return {partition: max(starts[partition], committed[partition] or 0) for partition in assigned}

    def _note_past_end(self, past: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        now = self._clock()
        self._past_end_since = now if self._past_end_since is None else self._past_end_since
        positions = ", ".join(f"partition {p.partition}: committed {past[p]}, the log ends at {ends[p]}" for p in past)
        log.warning("position_past_end", positions=positions)
        if now - self._past_end_since >= PAST_END_S:
            raise PositionLost(f"`{self._topic}`: {positions}")

    def _note_missed(self, partition: TopicPartition, committed: int, start: int) -> None:
        log.error("records_missed", partition=partition.partition, committed=committed, log_starts_at=start)
        self._on_missed(start - committed)
