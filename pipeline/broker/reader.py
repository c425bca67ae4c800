"""Read topics from their beginning to their present end or beyond, as any reader at `read_committed` sees them."""

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
# A follower asks so often whether its topic has more partitions.
PARTITIONS_S = 30.0


def read_topics(connection: Connection, topics: Sequence[str], *, patience_s: float = 30.0) -> Iterator[Record]:
    """
    Yield every committed record of `topics`, up to where each partition ended when the call was made.

    What stood in an open transaction then is waited for until it is committed or aborted.

    Raises `BrokerFault` when nothing more arrives for `patience_s` before the end.
    """
    yield from _read(connection, topics, None, patience_s)


def read_range(
    connection: Connection, topic: str, since: datetime | None, until: datetime | None, *, patience_s: float = 30.0
) -> Iterator[Record]:
    """
    Yield the committed records of `topic` whose timestamps are from `since` on and before `until`.

    Raises `UsageError` when there is no such topic, and what `read_topics` does.
    """
    if not partitions_of(connection, [topic]):
        raise UsageError(f"there is no topic `{topic}`")
    until_ms = None if until is None else until.timestamp() * 1000
    since_ms = None if since is None else since.timestamp() * 1000
    for record in _read(connection, [topic], since, patience_s):
        time_ms = record.timestamp_ms or 0
        # Timestamps of a partition need not rise, so none ends the reading.
        if (until_ms is None or time_ms < until_ms) and (since_ms is None or time_ms >= since_ms):
            yield record


def follow_topic(connection: Connection, topic: str, since: datetime | None) -> Iterator[Record]:
    """
    Yield the committed records of `topic` from `since` on, or from its beginning, and then those that come, for ever.

    Partitions that are added meanwhile are read too. Raises `UsageError` when there is no such topic, and
    `BrokerFault`.
    """
    places = partitions_of(connection, [topic])
    if not places:
        raise UsageError(f"there is no topic `{topic}`")
    since_ms = None if since is None else since.timestamp() * 1000
    with translated():
        consumer = read_leniently(KafkaConsumer(**_reading(connection)))
        try:
            consumer.assign(places)
            _start(consumer, places, ends_of(connection, places), since)
            looked = time.monotonic()
            while True:
                for found in consumer.poll(timeout_ms=POLL_MS, max_records=1000).values():
                    for record in map(to_record, found):
                        if since_ms is None or (record.timestamp_ms or 0) >= since_ms:
                            yield record
                if time.monotonic() - looked > PARTITIONS_S:
                    places, looked = _with_added(connection, consumer, topic, places), time.monotonic()
        finally:
            consumer.close()


class OffsetReader:
    """Reads single records by where they stand. Used by one thread at a time."""

    def __init__(self, connection: Connection, *, patience_s: float = 10.0) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._known: set[TopicPartition] = set()
        with translated():
            self._consumer = read_leniently(
                KafkaConsumer(**connection.client_options(), enable_auto_commit=False, isolation_level="read_committed")
            )

    def read(self, origin: Origin) -> Record | None:
        """Return a record, None when it is no longer retained or never was. Raises `BrokerFault`."""
        place = TopicPartition(origin.topic, origin.partition)
        if place not in self._known:
            self._known |= set(partitions_of(self._connection, [origin.topic]))
        if place not in self._known:
            return None
        with translated():
            self._consumer.assign([place])
            first = self._consumer.beginning_offsets([place])[place]
            if not first <= origin.offset < self._consumer.end_offsets([place])[place]:
                return None
            self._consumer.seek(place, origin.offset)
            polled = self._consumer.poll(timeout_ms=int(self._patience_s * 1000), max_records=1)
        for found in polled.get(place, ()):
            return to_record(found) if found.offset == origin.offset else None
        return None

    def close(self) -> None:
        """Close without waiting."""
        self._consumer.close(timeout_ms=1000)


def _read(connection: Connection, topics: Sequence[str], since: datetime | None, patience_s: float) -> Iterator[Record]:
    places = partitions_of(connection, topics)
    if not places:
        return
    # A consumer at `read_committed` would stop before a transaction whose end is only being written.
    ends = ends_of(connection, places)
    with translated():
        consumer = read_leniently(KafkaConsumer(**_reading(connection)))
        try:
            consumer.assign(places)
            _start(consumer, places, ends, since)
            at, quiet_since = _positions(consumer, places), time.monotonic()
            while any(at[place] < ends[place] for place in places):
                # A short wait: what was aborted gives no records, and moves the position all the same.
                polled = consumer.poll(timeout_ms=POLL_MS, max_records=1000)
                before, at = at, _positions(consumer, places)
                if polled or at != before:
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since > patience_s:
                    raise BrokerFault(f"nothing arrived for {patience_s} s before the end of {', '.join(topics)}")
                for place, found in polled.items():
                    yield from (to_record(each) for each in found if each.offset < ends[place])
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
    connection: Connection, consumer: KafkaConsumer, topic: str, places: list[TopicPartition]
) -> list[TopicPartition]:
    """Return the partitions there are now, those that were added assigned too, from their beginning."""
    try:
        added = [place for place in partitions_of(connection, [topic]) if place not in places]
    except BrokerFault:
        return places  # the consumer itself waits for the broker
    if added:
        positions = _positions(consumer, places)
        consumer.assign([*places, *added])
        for place, position in positions.items():
            consumer.seek(place, position)
        consumer.seek_to_beginning(*added)
    return [*places, *added]


def _positions(consumer: KafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    return {place: consumer.position(place) or 0 for place in places}


def _start(
    consumer: KafkaConsumer,
    places: Sequence[TopicPartition],
    ends: Mapping[TopicPartition, int],
    since: datetime | None,
) -> None:
    """Seek to the first record of a time, or to the beginning."""
    if since is None:
        consumer.seek_to_beginning(*places)
        return
    first = consumer.offsets_for_times({place: max(0, int(since.timestamp() * 1000)) for place in places})
    for place in places:
        consumer.seek(place, first[place].offset if first.get(place) else ends[place])
