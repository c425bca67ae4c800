"""Lag in seconds: the age of the oldest record of each partition that is not committed."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.events.records import Record

# Beyond this number of observed ends of a partition, they are kept at twice the distance.
MAX_OBSERVED = 512


@dataclass(frozen=True, slots=True)
class _Mark:
    """The record at `offset` had arrived by `time_s`."""

    offset: int
    time_s: float


class _Ends:
    """The ends of one partition over time, at least `spacing` seconds apart once there are many."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._spacing_s = 0.0

    def observe(self, end: int, now_s: float) -> None:
        if self._marks and end < self._marks[-1].offset:  # the topic was deleted and created again
            self._marks.clear()
        if self._marks and end == self._marks[-1].offset:
            return
        if len(self._marks) > 1 and now_s - self._marks[-1].time_s < self._spacing_s:
            self._marks[-1] = _Mark(end, self._marks[-1].time_s)
        else:
            self._marks.append(_Mark(end, now_s))
        if len(self._marks) > MAX_OBSERVED:
            self._thin()

    def arrived(self, offset: int) -> float | None:
        """Return when the record at `offset` had arrived, None while it has not; forget the ends before it."""
        marks = self._marks
        while len(marks) > 1 and marks[1].offset <= offset:
            marks.popleft()
        if len(marks) == 1:
            self._spacing_s = 0.0
        return next((mark.time_s for mark in marks if mark.offset > offset), None)

    def began_before(self, offset: int) -> bool:
        """Tell whether the first end was observed before the record at `offset` arrived."""
        return bool(self._marks) and self._marks[0].offset <= offset

    def _thin(self) -> None:
        """Double the distance; the earlier time of two stays, so that lag is never understated."""
        marks = list(self._marks)
        self._spacing_s = max(2 * self._spacing_s, 2 * (marks[-1].time_s - marks[0].time_s) / len(marks))
        first, *rest = marks
        pairs = zip(rest[::2], [*rest[1::2], rest[-1]], strict=False)
        self._marks = deque([first, *(_Mark(later.offset, earlier.time_s) for earlier, later in pairs)])


class LagClock:
    """
    Estimates lag in seconds from the ends of partitions over time and from the timestamps of records in flight.

    A record arrived no later than the first observation of an end past it, so after a quiet night the first new record
    is seconds old and not hours. A record that arrived before the first observation has its own timestamp, once it is
    polled. Times are Unix seconds. Used by one thread.
    """

    def __init__(self) -> None:
        self._ends: defaultdict[int, _Ends] = defaultdict(_Ends)
        self._polled: defaultdict[int, deque[_Mark]] = defaultdict(deque)

    def observe(self, ends: Mapping[int, int], now_s: float) -> None:
        """Note the end offset of each partition."""
        for partition, end in ends.items():
            self._ends[partition].observe(end, now_s)

    def polled(self, records: Iterable[Record]) -> None:
        """Note the first record of each partition in a chunk."""
        seen = set()
        for record in records:
            partition, offset = record.origin.partition, record.origin.offset
            if partition not in seen and record.timestamp_ms is not None:
                seen.add(partition)
                self._polled[partition].append(_Mark(offset, record.timestamp_ms / 1000))

    def rewound(self) -> None:
        """Forget the records in flight: they will be polled again."""
        self._polled.clear()

    def seconds(self, committed: Mapping[int, int], now_s: float) -> dict[int, float]:
        """Return the lag of each partition, 0 where everything is committed; `committed` has the next offsets."""
        return {partition: self._seconds(partition, offset, now_s) for partition, offset in committed.items()}

    def _seconds(self, partition: int, committed: int, now_s: float) -> float:
        ends, polled = self._ends[partition], self._polled[partition]
        while polled and polled[0].offset < committed:
            polled.popleft()
        arrived = ends.arrived(committed)
        if arrived is None:
            return 0.0
        if polled and not ends.began_before(committed):
            arrived = min(arrived, polled[0].time_s)
        return max(0.0, now_s - arrived)
