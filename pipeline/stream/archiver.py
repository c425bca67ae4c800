"""From the embeddings' topic into the archive: every embedding once, whatever crashes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from pipeline.archive.rows import ArchivedEmbedding
from pipeline.errors import ArchiveError, CommitAborted, DependencyFault, StoreFault
from pipeline.events.chunks import Chunk, Span
from pipeline.stream.retry import Backoff

log = structlog.get_logger()

POLL_S = 0.5
POLL_RECORDS = 2000
POLL_BYTES = 8 << 20


class Source(Protocol):
    """A topic read as a member of a group, with offsets of its own to commit. As `stream.ports.Source`, besides."""

    needs_rewind: bool

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None: ...

    def keep_alive(self, timeout_s: float) -> None: ...

    def rewind(self, timeout_s: float) -> dict[int, int] | None: ...

    def commit(self, ends: dict[int, int]) -> None: ...


class Store(Protocol):
    """
    What keeps embeddings: `add` stores those that are not there yet and says how many they were.

    It raises `StoreFault` when its storage failed: the same rows, some of them stored or not, are given again.
    """

    def add(self, rows: list[ArchivedEmbedding]) -> int: ...

    def compact(self) -> None: ...


@dataclass
class _Pending:
    """What was read and is not stored yet."""

    rows: list[ArchivedEmbedding] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    since: float = 0.0

    def note(self, spans: tuple[Span, ...]) -> None:
        self.ends |= {span.partition: span.end for span in spans}


class Archiver:
    """
    Stores what arrives, then commits how far it has read.

    A crash between the two has the same range read again, and the store knows each row by its input record. Few large
    writes make few files: rows are gathered up to `batch_rows`, for `flush_s` at the most.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._store = store
        self._batch_rows = batch_rows
        self._flush_s = flush_s
        self._compact_every = compact_every
        self._commit_timeout_s = commit_timeout_s
        self.build_backoff = backoff
        self._clock = clock
        self._pending = _Pending()
        self._stopping = threading.Event()
        self._writes = 0
        self._pauses = backoff.pauses()

    def stop(self) -> None:
        """Ask `run` to store what it has and return. Safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Archive until stopped. Raises what nothing but a person can mend."""
        self._pauses = self.build_backoff.pauses()
        while not self._stopping.is_set():
            try:
                self._tick()
            except (DependencyFault, CommitAborted) as fault:
                self._pending = _Pending()
                self._source.needs_rewind = True
                pause_s = next(self._pauses)
                log.warning("going back to what is committed", fault=str(fault), pause_s=pause_s)
                self._stopping.wait(pause_s)
        if self._pending.ends:
            self._flush()

    def _tick(self) -> None:
        if self._source.needs_rewind:
            self._pending = _Pending()
            if self._source.rewind(self._commit_timeout_s) is None:
                self._source.keep_alive(POLL_S)
            return
        polled = self._source.poll(POLL_S, POLL_RECORDS, POLL_BYTES)
        if polled is not None:
            self._take(polled)
        if self._pending.ends and (
            len(self._pending.rows) >= self._batch_rows or self._clock() - self._pending.since >= self._flush_s
        ):
            self._flush()

    def _take(self, polled: Chunk) -> None:
        if not self._pending.ends:
            self._pending.since = self._clock()
        for record in polled.records:
            try:
                self._pending.rows.append(ArchivedEmbedding.of(record))
            except ArchiveError as error:
                log.error("left out of the archive", problem=str(error))  # noqa: TRY400 -- the message says all
        self._pending.note(polled.spans)

    def _flush(self) -> None:
        pending, self._pending = self._pending, _Pending()
        started = self._clock()
        added = self._store.add(pending.rows) if pending.rows else 0
        self._source.commit(pending.ends)
        self._pauses = self.build_backoff.pauses()  # what is read is nothing won: only what is stored is
        self._writes += 1
        seconds = round(self._clock() - started, 2)
        log.info("archived", rows=len(pending.rows), new=added, seconds=seconds)
        if self._writes % self._compact_every == 0:
            self._compact()

    def _compact(self) -> None:
        try:
            self._store.compact()
        except StoreFault as fault:
            # What is stored is stored: small files cost time, and the next turn comes.
            log.warning("the archive was not compacted", fault=str(fault))
