"""The worker's loop: poll while there is room, go back to what is committed when the ground moved, drain at the end."""

import threading
import time

import structlog

from pipeline.errors import BrokerFault
from pipeline.stream.flow import Flow
from pipeline.stream.patience import Patience
from pipeline.stream.ports import Sink, Source
from pipeline.telemetry import Metrics

log = structlog.get_logger()

# How long one turn of the loop may wait: what a stop or a failure of a stage takes to be seen.
TURN_S = 0.2

# A loop that has not turned for so long is not alive; a rewind may wait for a commit deadline.
STUCK_S = 60.0


class Worker:
    """Joins a source and a flow. `run` is the owner of every thread below it: their failures are raised there."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        flow: Flow,
        *,
        max_records: int,
        max_bytes: int,
        rewind_timeout_s: float,
        drain_timeout_s: float,
        patience: Patience,
        metrics: Metrics,
    ) -> None:
        self._source = source
        self._sink = sink
        self._flow = flow
        self._chain = flow.chain
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._rewind_timeout_s = rewind_timeout_s
        self._drain_timeout_s = drain_timeout_s
        self._patience = patience
        self._metrics = metrics
        self._stopping = threading.Event()
        self._turned = time.monotonic()
        self._lag_seen = 0.0
        self.assigned = False

    def stop(self) -> None:
        """Ask `run` to finish what is in work and return. Safe in a signal handler."""
        self._stopping.set()

    def alive(self) -> bool:
        """Tell whether the loop still turns."""
        return time.monotonic() - self._turned < STUCK_S

    def run(self) -> None:
        """Work until stopped. Raises what a stage raised, `DeadLetterLimit` and `InstanceTaken` among it."""
        self._chain.start()
        pauses = self._patience.pauses()
        while not self._stopping.is_set():
            self._turned = time.monotonic()
            self._chain.raise_failure()
            try:
                self._turn()
            except BrokerFault as fault:
                self._metrics.retries.labels("broker").inc()
                pause_s = next(pauses)
                log.warning("the broker did not answer, trying again", fault=str(fault), pause_s=pause_s)
                self._stopping.wait(pause_s)
            else:
                pauses = self._patience.pauses()
        self._drain()

    def _turn(self) -> None:
        if self._source.moved:
            self._chain.invalidate()
        if not self._chain.open:
            self._go_back()
        elif not self._chain.wait_for_room(TURN_S):
            self._source.idle(0)
        else:
            polled = self._source.poll(TURN_S, self._max_records, self._max_bytes)
            if polled is not None:
                self._flow.offer(polled)  # into an epoch that ended meanwhile it is dropped, and read again
        self._measure()

    def _go_back(self) -> None:
        """Once nothing is in work, end what the sink left open and read again from what is committed."""
        if self._chain.in_work:
            self._source.idle(0.05)
            self._chain.raise_failure()
            return
        self._sink.recover()
        positions = self._source.rewind(self._rewind_timeout_s)
        if positions is None:
            self.assigned = False
            self._source.idle(TURN_S)
            return
        self._flow.ledger.begin(positions)
        self._chain.begin()
        self.assigned = True
        self._metrics.rebalances.inc()
        log.info("reading from what is committed", positions=positions)

    def _measure(self) -> None:
        self._metrics.chunks_in_work.set(self._chain.in_work)
        for stage, waiting in self._chain.waiting().items():
            self._metrics.queue_chunks.labels(stage).set(waiting)
        if time.monotonic() - self._lag_seen > 1:
            self._lag_seen = time.monotonic()
            self._metrics.lag_records.clear()
            for partition, lag in self._source.lag().items():
                self._metrics.lag_records.labels(str(partition)).set(lag)

    def _drain(self) -> None:
        whole = self._chain.wait_until_empty(self._drain_timeout_s)
        self._chain.raise_failure()
        if whole:
            log.info("drained")
        else:
            log.warning("drain deadline passed; what is in work stays uncommitted and will be read again")
