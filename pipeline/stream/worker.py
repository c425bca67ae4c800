"""The worker's loop: poll while there is capacity, rewind after a rebalance or an aborted commit, drain at the end."""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from pipeline.errors import BrokerFault, CommitAborted, RefusedByBroker, WatchwordError
from pipeline.retry import Backoff, Retry
from pipeline.stream.flow import Flow
from pipeline.stream.lag_clock import LagClock
from pipeline.stream.ports import Sink, Source
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

# The longest wait of one tick of the loop, and so the delay until a stop or a stage's failure is noticed.
TICK_S = 0.2

# A loop without a tick for this long is not alive; a rewind may wait for a commit deadline.
STUCK_S = 60.0

LAG_INTERVAL_S = 1.0


class Worker:
    """
    Connects a source to a flow. `run` owns every thread below it and raises their failures.

    `ends` returns the end offset of each partition of the input topic. A chunk in flight for longer than
    `chunk_timeout_s`, through no dependency's fault, is stuck.
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
        self._ends = ends
        self._rewind_timeout_s = rewind_timeout_s
        self._drain_timeout_s = drain_timeout_s
        self._chunk_timeout_s = chunk_timeout_s
        self._metrics = metrics
        self._stopping = stopping or threading.Event()
        self._ticked = time.monotonic()
        self._lag_measured = 0.0
        self._broker_retry = Retry(backoff, self._stopping.wait, self._report_broker_fault)
        self._abort_retry = Retry(backoff, self._wait_in_group, lambda *_: None)
        self._commits_seen = 0
        self._lag_clock = LagClock()
        self.assigned = False

    def stop(self) -> None:
        """Ask `run` to finish the chunks in flight and return. Safe in a signal handler."""
        self._stopping.set()

    def ticking(self) -> bool:
        """Tell whether the loop still ticks."""
        return time.monotonic() - self._ticked < STUCK_S

    def stuck(self) -> bool:
        """Tell whether a chunk has been in flight for longer than any should be."""
        return self._flow.stuck(self._chunk_timeout_s)

    def stalled_s(self) -> float:
        """Return seconds without a commit while there was something to commit, or without a tick of the loop."""
        return max(self._flow.progress.stalled_s(), time.monotonic() - self._ticked)

    @property
    def last_abort(self) -> str:
        """The cause of the last aborted commit, empty once a commit has passed since."""
        return self._flow.last_abort

    def run(self) -> None:
        """Work until stopped. Raises the failure of a stage, for example `DeadLetterLimit`, and `InstanceTaken`."""
        self._flow.start()
        while not self._stopping.is_set():
            self._ticked = time.monotonic()
            self._flow.raise_failure()
            try:
                self._tick()
            except (BrokerFault, RefusedByBroker) as fault:
                self._broker_retry.failed(fault)
            else:
                self._broker_retry.succeeded()
        self._drain()

    def _tick(self) -> None:
        if self._source.needs_rewind:
            self._flow.invalidate()
        if not self._flow.accepts:
            self._rewind()
        elif not self._flow.has_capacity(TICK_S):
            self._source.keep_alive(0)
        else:
            size = self._flow.chunk_size
            chunk = self._source.poll(TICK_S, size.records, size.size_bytes)
            if chunk is not None:
                self._lag_clock.polled(chunk.records)
                self._flow.offer(chunk)  # if its epoch ended meanwhile, the chunk is dropped and read again
        self._measure()

    def _rewind(self) -> None:
        """Once no chunk is in flight, abort the open transaction and read again from the committed offsets."""
        if self._flow.in_flight:
            self._source.keep_alive(0.05)
            self._flow.raise_failure()
            return
        self._pause_after_abort()
        self._sink.recover()
        positions = self._source.rewind(self._rewind_timeout_s)
        if positions is None:
            self.assigned = False
            self._source.keep_alive(TICK_S)
            return
        self._lag_clock.rewound()
        self._flow.restart(positions)
        self.assigned = True
        self._metrics.rebalances.inc()
        log.info("rewound", positions=positions)

    def _pause_after_abort(self) -> None:
        """Wait after an aborted commit, longer after each one in a row."""
        if not self._flow.aborted:
            return
        self._flow.aborted = False
        commits = self._flow.progress.commits
        if commits != self._commits_seen:
            self._abort_retry.succeeded()
        self._commits_seen = commits
        self._abort_retry.failed(CommitAborted(self._flow.last_abort))

    def _wait_in_group(self, pause_s: float) -> None:
        """Wait, and remain a member of the group."""
        deadline = time.monotonic() + pause_s
        while not self._stopping.is_set() and (left_s := deadline - time.monotonic()) > 0:
            self._ticked = time.monotonic()
            self._source.keep_alive(min(TICK_S, left_s))

    def _report_broker_fault(self, fault: WatchwordError, pause_s: float) -> None:
        self._metrics.retries.labels("broker").inc()
        log.warning("broker_unanswered", fault=str(fault), pause_s=pause_s)

    def _measure(self) -> None:
        self._metrics.chunks_in_work.set(self._flow.in_flight)
        for stage, waiting in self._flow.waiting().items():
            self._metrics.queue_chunks.labels(stage).set(waiting)
        if time.monotonic() - self._lag_measured > LAG_INTERVAL_S:
            self._lag_measured = time.monotonic()
            self._measure_lag()

    def _measure_lag(self) -> None:
        ends, committed = self._ends(), self._committed()
        lag = {partition: max(0, ends.get(partition, done) - done) for partition, done in committed.items()}
        self._show_lag(lag, ends, committed)
        self._flow.set_share(len(lag) / max(1, len(lag), len(ends)))
        busy = self._flow.in_flight > 0 or any(lag.values()) or not self.assigned
        self._flow.progress.measure(busy=busy)
        self._metrics.stalled_seconds.set(self._flow.progress.stalled_s())

    def _show_lag(self, lag: Mapping[int, int], ends: Mapping[int, int], committed: Mapping[int, int]) -> None:
        now_s = time.time()
        self._lag_clock.observe(ends, now_s)
        self._metrics.partitions.set(len(lag))
        self._metrics.lag_records.clear()
        self._metrics.lag_seconds.clear()
        for partition, seconds in self._lag_clock.seconds(committed, now_s).items():
            self._metrics.lag_records.labels(str(partition)).set(lag[partition])
            self._metrics.lag_seconds.labels(str(partition)).set(seconds)

    def _committed(self) -> dict[int, int]:
        """Return, by assigned partition, the offset up to which all is committed, transaction markers included."""
        reached = self._source.reached() if not self._flow.in_flight else {}
        return {p: max(done, reached.get(p, 0)) for p, done in self._flow.next_offsets().items()}

    def _drain(self) -> None:
        whole = self._flow.wait_until_empty(self._drain_timeout_s)
        self._flow.raise_failure()
        if whole:
            log.info("drained")
        else:
            log.warning("drain_deadline_passed", left="chunks in flight stay uncommitted and will be read again")
