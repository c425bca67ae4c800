"""The archiver: faults of its store and of its consumer group."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
from kafka.structs import ConsumerGroupMetadata

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.errors import BrokerFault, CommitAborted, StoreFault
from pipeline.events.chunks import Chunk, Span
from pipeline.events.records import Origin, Record
from pipeline.retry import Backoff
from pipeline.stream.archiver import Archiver
from tests.unit.archive.test_archive import headers

MEMBER = ConsumerGroupMetadata("group")


class Topic:
    """A partition of embeddings, with the third one damaged, polled four at a time from the committed offset."""

    def __init__(self, length: int, refusals: int = 0) -> None:
        self.needs_rewind, self.length, self.refusals = True, length, refusals
        self.committed = self.position = 0
        self.rewinds = 0

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None:
        start, end = self.position, min(self.position + 4, self.length)
        if start == end:
            return None
        self.position = end
        value = np.arange(4, dtype="<f2").tobytes()
        records = tuple(
            Record(Origin("t", 0, n), None, b"short" if n == 2 else value, headers(origin=f"images/0/{n}"))
            for n in range(start, end)
        )
        return Chunk(records, (Span(0, start, end),), MEMBER)

    def request_rewind(self) -> None:
        self.needs_rewind = True

    def keep_alive(self, timeout_s: float) -> None: ...

    def rewind(self, timeout_s: float) -> dict[int, int] | None:
        self.rewinds += 1
        self.needs_rewind, self.position = False, self.committed
        return {0: self.committed}

    def commit(self, ends: dict[int, int]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise CommitAborted("the group moved on")
        self.committed = ends[0]


class Store:
    """Keeps rows by key, and fails the first few times."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.rows, self.compactions = failures, dict[str, ArchivedEmbedding](), 0

    def add(self, rows: list[ArchivedEmbedding]) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreFault("away")
        before = len(self.rows)
        self.rows |= {row.key: row for row in rows}
        return len(self.rows) - before

    def compact(self) -> None:
        self.compactions += 1


def archive(topic: Topic, store: Store, *, turns: int, batch_rows: int = 8) -> Archiver:
    ticks: Iterator[int] = count()
    archiver = Archiver(
        topic,
        store,
        batch_rows=batch_rows,
        flush_s=1000.0,
        compact_every=2,
        commit_timeout_s=1.0,
        backoff=Backoff(0.001, 0.002),
        clock=lambda: float(next(ticks)),
    )
    left = iter(range(turns))
    turn = archiver._tick

    def counted() -> None:
        if next(left, None) is None:
            archiver.stop()
            return
        turn()

    archiver._tick = counted  # type: ignore[method-assign]  # so that a run ends
    archiver.run()
    return archiver


EVERY = {f"images/0/{n}" for n in range(30) if n != 2}


def test_rows_are_stored_and_then_committed() -> None:
    """The damaged one is left out; an incomplete batch is stored at the end."""
    topic, store = Topic(30), Store()
    archive(topic, store, turns=12)
    assert store.rows.keys() == EVERY
    assert (topic.committed, topic.rewinds) == (30, 1)
    assert store.compactions == 2, "after every second write"


@pytest.mark.parametrize(("failures", "refusals"), [(3, 0), (0, 3), (2, 2)])
def test_rows_not_stored_or_committed_are_read_again(failures: int, refusals: int) -> None:
    topic, store = Topic(30, refusals), Store(failures)
    archive(topic, store, turns=60)
    assert store.rows.keys() == EVERY
    assert topic.committed == 30
    assert topic.rewinds == 1 + failures + refusals


def test_a_broker_that_does_not_answer_is_retried() -> None:
    topic, store = Topic(30), Store()
    poll, away = topic.poll, iter([True, False, True, *[False] * 100])

    def failing(timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None:
        if next(away):
            raise BrokerFault("away")
        return poll(timeout_s, max_records, max_bytes)

    topic.poll = failing  # type: ignore[method-assign]  # the broker's doing
    archive(topic, store, turns=40)
    assert store.rows.keys() == EVERY


def test_health_and_metrics_follow_the_writes() -> None:
    """After a failed write the archiver is not ready, and after the next one it is."""
    archiver = archive(Topic(30), Store(failures=1), turns=60)
    assert archiver.ready() == {"assigned": True, "storing": True}
    assert archiver.alive() == {"loop": True}
    metrics = archiver.metrics.render()[1].decode()
    assert "watchword_archive_embeddings_total 29.0" in metrics
    assert "watchword_archive_rewinds_total 1.0" in metrics
    assert archive(Topic(30), Store(failures=99), turns=12).ready()["storing"] is False
