"""Archiver: stores each embedding of the embeddings topic exactly once, even after a crash."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.errors import ArchiveError, CommitAborted, DependencyFault, RefusedByBroker, StoreFault, WatchwordError
from pipeline.events.chunks import Chunk, Span
from pipeline.retry import Backoff, Retry
from pipeline.telemetry.metrics import ArchiveMetrics

log = structlog.get_logger()

POLL_S = 0.5
POLL_RECORDS = 2000
POLL_BYTES = 8 << 20

# A loop without a tick for this long is not alive; a write to object storage, or a compaction, may take minutes.
STUCK_S = 900.0


class Source(Protocol):
    """A topic read as a member of a group. `commit` commits its offsets; the rest is as in `stream.ports.Source`."""

    @property
    def needs_rewind(self) -> bool: ...

    def request_rewind(self) -> None: ...

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None: ...

    def keep_alive(self, timeout_s: float) -> None: ...

    def rewind(self, timeout_s: float) -> dict[int, int] | None: ...

    def commit(self, ends: dict[int, int]) -> None: ...


class Store(Protocol):
    """
    A store of embeddings. `add` stores the rows that are not there yet, and returns their number.

    It raises `StoreFault` when its storage failed: the caller adds the same rows again, some of which may be stored.
    """

    def add(self, rows: list[ArchivedEmbedding]) -> int: ...

    def compact(self) -> None: ...


@dataclass
class _Pending:
    """Rows that were read and are not stored yet."""

    rows: list[ArchivedEmbedding] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    since: float = 0.0

    def note(self, spans: tuple[Span, ...]) -> None:
        self.ends |= {span.partition: span.end for span in spans}


class Archiver:
    """
    Stores the rows that arrive, then commits their offsets.

    After a crash between the two, the same range is read again; the store knows each row by its input record. Rows are
    gathered up to `batch_rows`, and for at most `flush_s`, because few large writes make few files.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        batch_rows: int,
        flush_s: float,
        compact_every: int,
        commit_timeout_s: float,
        backoff: Backoff,
        metrics: ArchiveMetrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = metrics or ArchiveMetrics()
        self._source = source
        self._store = store
        self._batch_rows = batch_rows
        self._flush_s = flush_s
        self._compact_every = compact_every
        self._commit_timeout_s = commit_timeout_s
        self._clock = clock
        self._pending = _Pending()
        self._stopping = threading.Event()
        self._writes = 0
        self._retry = Retry(backoff, self._stopping.wait, _report)
        self._ticked = clock()
        self._failing = False

    def alive(self) -> Mapping[str, object]:
        """Return the checks of `/healthz`: false where only a restart can help."""
        return {"loop": self._clock() - self._ticked < STUCK_S}

    def ready(self) -> Mapping[str, object]:
        """Return the checks of `/readyz`: false where embeddings are not being stored."""
        return {"assigned": not self._source.needs_rewind, "storing": not self._failing}

    def stop(self) -> None:
        """Ask `run` to store its pending rows and return. Safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Archive until stopped. Raises `UsageError` for faults that only a person can mend."""
        while not self._stopping.is_set():
            self._ticked = self._clock()
            try:
                self._tick()
            except (DependencyFault, CommitAborted, RefusedByBroker) as fault:
                self._failing = True
                self.metrics.rewinds.inc()
                self._pending = _Pending()
                self._source.request_rewind()
                self._retry.failed(fault)
        if self._pending.ends:
            self._flush()

    def _tick(self) -> None:
        if self._source.needs_rewind:
            self._pending = _Pending()
            if self._source.rewind(self._commit_timeout_s) is None:
                self._source.keep_alive(POLL_S)
            return
        chunk = self._source.poll(POLL_S, POLL_RECORDS, POLL_BYTES)
        if chunk is not None:
            self._take(chunk)
        if self._pending.ends and (
            len(self._pending.rows) >= self._batch_rows or self._clock() - self._pending.since >= self._flush_s
        ):
            self._flush()

    def _take(self, chunk: Chunk) -> None:
        if not self._pending.ends:
            self._pending.since = self._clock()
        for record in chunk.records:
            try:
                self._pending.rows.append(ArchivedEmbedding.of(record))
            except ArchiveError as error:
                self.metrics.refused.inc()
                log.error("embedding_not_archived", problem=str(error))  # noqa: TRY400 -- the message is complete
        self._pending.note(chunk.spans)

    def _flush(self) -> None:
        pending, self._pending = self._pending, _Pending()
        started = self._clock()
        added = self._store.add(pending.rows) if pending.rows else 0
        self._source.commit(pending.ends)
        self._retry.succeeded()  # only a stored batch ends a series of failures, a batch read does not
        self._failing = False
        self._writes += 1
        self._note_write(len(pending.rows), added, self._clock() - started)
        if self._writes % self._compact_every == 0:
            self._compact()

    def _note_write(self, rows: int, added: int, seconds: float) -> None:
        self.metrics.stored.inc(added)
        self.metrics.write_seconds.observe(seconds)
        self.metrics.newest.set_to_current_time()
        log.info("archived", rows=rows, new=added, seconds=round(seconds, 2))

    def _compact(self) -> None:
        try:
            self._store.compact()
        except StoreFault as fault:
            # The rows are stored. Small files only cost time until the next compaction.
            log.warning("archive_not_compacted", fault=str(fault))


def _report(fault: WatchwordError, pause_s: float) -> None:
    log.warning("archiver_rewinds", fault=str(fault), pause_s=pause_s)
