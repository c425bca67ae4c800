"""The worker's loop: poll while there is room, go back to what is committed when the ground moved, drain at the end."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from pipeline.errors import BrokerFault
from pipeline.stream.flow import Flow
from pipeline.stream.ports import Sink, Source
from pipeline.stream.retry import Backoff
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

# How long one turn of the loop may wait: what a stop or a failure of a stage takes to be seen.
TICK_S = 0.2

# A loop that has not turned for so long is not alive; a rewind may wait for a commit deadline.
STUCK_S = 60.0


class Worker:
    """
    Joins a source and a flow. `run` is the owner of every thread below it: their failures are raised there.

    `ends` returns where the input's partitions end; a chunk older than `chunk_timeout_s`, for no dependency's fault, is
    stuck.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        flow: Flow,
        *,
        ends: Callable[[], Mapping[int, int]],
        rewind_timeout_s: float,
        drain_timeout_s: float,
        chunk_timeout_s: float,
        backoff: Backoff,
        metrics: Metrics,
        stopping: threading.Event | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._flow = flow
        self._chain = flow.chain
        self._ends = ends
        self._rewind_timeout_s = rewind_timeout_s
        self._drain_timeout_s = drain_timeout_s
        self._chunk_timeout_s = chunk_timeout_s
        self.build_backoff = backoff
        self._metrics = metrics
        self._stopping = stopping or threading.Event()
        self._turned = time.monotonic()
        self._lag_seen = 0.0
        self._aborts = backoff.pauses()
        self._commits_seen = 0
        self.assigned = False

    def stop(self) -> None:
        """Ask `run` to finish what is in work and return. Safe in a signal handler."""
        self._stopping.set()

    def turning(self) -> bool:
        """Tell whether the loop still turns."""
        return time.monotonic() - self._turned < STUCK_S

    def stuck(self) -> bool:
        """Tell whether a chunk has been in work for longer than any should be."""
        return self._chain.oldest_s() > self._chunk_timeout_s and not self._chain.waits_for_dependency

    def stalled_s(self) -> float:
        """Return seconds without a commit while there was something to commit, or without a turn of the loop."""
        unmoved_s = time.monotonic() - self._turned
        return max(self._flow.progress.stalled_s(), unmoved_s)

    @property
    def last_abort(self) -> str:
        """The cause of the last commit that was aborted, if none has passed since."""
        return self._flow.last_abort

    def run(self) -> None:
        """Work until stopped. Raises what a stage raised, `DeadLetterLimit` and `InstanceTaken` among it."""
        self._chain.start()
        pauses = self.build_backoff.pauses()
        while not self._stopping.is_set():
            self._turned = time.monotonic()
            self._chain.raise_failure()
            try:
                self._tick()
            except BrokerFault as fault:
                self._metrics.retries.labels("broker").inc()
                pause_s = next(pauses)
                log.warning("the broker did not answer, trying again", fault=str(fault), pause_s=pause_s)
                self._stopping.wait(pause_s)
            else:
                pauses = self.build_backoff.pauses()
        self._drain()

    def _tick(self) -> None:
        if self._source.needs_rewind:
            self._chain.invalidate()
        if not self._chain.open:
            self._rewind()
        elif not self._chain.wait_for_room(TICK_S):
            self._source.keep_alive(0)
        else:
            size = self._flow.chunk_size
            polled = self._source.poll(TICK_S, size.records, size.size_bytes)
            if polled is not None:
                self._flow.offer(polled)  # into an epoch that ended meanwhile it is dropped, and read again
        self._measure()

    def _rewind(self) -> None:
        """Once nothing is in work, end what the sink left open and read again from what is committed."""
        if self._chain.in_flight:
            self._source.keep_alive(0.05)
            self._chain.raise_failure()
            return
        self._pause_after_abort()
        self._sink.recover()
        positions = self._source.rewind(self._rewind_timeout_s)
        if positions is None:
            self.assigned = False
            self._source.keep_alive(TICK_S)
            return
        self._flow.ledger.begin(positions)
        self._chain.begin()
        self.assigned = True
        self._metrics.rebalances.inc()
        log.info("reading from what is committed", positions=positions)

    def _pause_after_abort(self) -> None:
        """Wait longer after each abort in a row, in the group meanwhile."""
        if not self._flow.aborted:
            return
        self._flow.aborted = False
        commits = self._flow.progress.commits
        if commits != self._commits_seen:
            self._aborts = self.build_backoff.pauses()
        self._commits_seen = commits
        deadline = time.monotonic() + next(self._aborts)
        while not self._stopping.is_set() and (left_s := deadline - time.monotonic()) > 0:
            self._turned = time.monotonic()
            self._source.keep_alive(min(TICK_S, left_s))

    def _measure(self) -> None:
        self._metrics.chunks_in_work.set(self._chain.in_flight)
        for stage, waiting in self._chain.waiting().items():
            self._metrics.queue_chunks.labels(stage).set(waiting)
        if time.monotonic() - self._lag_seen > 1:
            self._lag_seen = time.monotonic()
            self._measure_lag()

    def _measure_lag(self) -> None:
        lag = self._lag()
        self._metrics.lag_records.clear()
        for partition, records in lag.items():
            self._metrics.lag_records.labels(str(partition)).set(records)
        in_flight = self._chain.in_flight > 0
        self._flow.progress.measure(busy=in_flight or any(lag.values()) or not self.assigned)
        self._metrics.stalled_seconds.set(self._flow.progress.stalled_s())

    def _lag(self) -> dict[int, int]:
        """Return, by assigned partition, how many records stand between what was committed and the end."""
        reached = self._source.reached() if not self._chain.in_flight else {}
        ends = self._ends()
        committed = {p: max(done, reached.get(p, 0)) for p, done in self._flow.ledger.next_offsets().items()}
        return {p: max(0, ends.get(p, done) - done) for p, done in committed.items()}

    def _drain(self) -> None:
        whole = self._chain.wait_until_empty(self._drain_timeout_s)
        self._chain.raise_failure()
        if whole:
            log.info("drained")
        else:
            log.warning("drain deadline passed; what is in work stays uncommitted and will be read again")
