"""Gate of a worker: closed while golden probes fail, so that nothing is judged wrong and nothing is skipped."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from pipeline.errors import DependencyFault, ProbeFault
from pipeline.judge.score import Judge
from pipeline.probes.probes import ProbeFailure
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

# Between two runs while a probe fails.
FAILING_INTERVAL_S = 5.0

# Failures that a log event names.
MOST_NAMED = 5


class Probes(Protocol):
    """
    Golden probes.

    `failures` returns what came out differently, of the worker's path and of the judges given; it may raise
    `DependencyFault`. `set_failures` does so for one judge alone.
    """

    def failures(self, active: Sequence[Judge]) -> Sequence[ProbeFailure]: ...

    def set_failures(self, judge: Judge) -> Sequence[ProbeFailure]: ...


class ProbeGate:
    """
    Runs golden probes and knows whether the last ones passed. Until the first run it is closed.

    `on_change` is called whenever it closes or opens: chunks in flight hold embeddings from before and must be dropped.
    """

    def __init__(self, metrics: Metrics, on_change: Callable[[], None] = lambda: None) -> None:
        self._metrics = metrics
        self.on_change = on_change
        self._probes: Probes | None = None
        self._lock = threading.Lock()
        self._urgent = threading.Event()
        self.problem = "not probed yet"
        metrics.probe_up.set(0)

    @property
    def open(self) -> bool:
        """Whether the last probes passed."""
        return not self.problem

    def attach(self, probes: Probes | None) -> None:
        """Use these probes; None, for a model without known results, opens the gate for good."""
        self._probes = probes
        self._metrics.probe_known.set(probes is not None)
        if probes is None:
            log.warning("probes_missing", consequence="a wrong model or picture path would not be noticed")
            self.problem = ""

    def require_open(self) -> None:
        """Raise `ProbeFault` while the last probes failed."""
        if self.problem:
            raise ProbeFault(f"a golden probe fails: {self.problem}")

    def require_set(self, judge: Judge) -> None:
        """Raise `ProbeFault` unless a judge's own texts and scores come out right."""
        if self._probes is not None and (failures := self._probes.set_failures(judge)):
            raise ProbeFault(f"the policy set fails its probe: {failures[0]}")

    def close(self, problem: str) -> None:
        """Close the gate because a golden image in a request came out wrong; the probes run again at once."""
        self._metrics.probe_failures.labels("canary").inc()
        self._turn(problem, [problem])
        self._urgent.set()

    def run(self, active: Sequence[Judge]) -> None:
        """Run every probe once. Raises `DependencyFault` when one could not be run."""
        if self._probes is None:
            return
        started = time.monotonic()
        failures = self._probes.failures(active)
        self._metrics.probe_seconds.observe(time.monotonic() - started)
        self._metrics.probe_run.set_to_current_time()
        for failure in failures:
            self._metrics.probe_failures.labels(failure.probe).inc()
        self._turn(str(failures[0]) if failures else "", [str(each) for each in failures])

    def wait(self, interval_s: float, stopping: threading.Event) -> None:
        """Wait until the next run is due: sooner while a probe fails, and at once after a failure in a request."""
        deadline = time.monotonic() + (interval_s if self.open else min(interval_s, FAILING_INTERVAL_S))
        while not stopping.is_set() and (left_s := deadline - time.monotonic()) > 0:
            if self._urgent.wait(min(0.5, left_s)):
                self._urgent.clear()
                return

    def _turn(self, problem: str, named: Sequence[str]) -> None:
        with self._lock:
            changed = bool(problem) != bool(self.problem)
            self.problem = problem
        self._metrics.probe_up.set(not problem)
        if problem and changed:
            log.error("probe_failed", failures=list(named[:MOST_NAMED]), count=len(named))
        elif changed:
            log.info("probes_pass")
        if changed:
            self.on_change()


class ProbeWatch:
    """Runs the probes every `interval_s` in a thread of its own."""

    def __init__(self, gate: ProbeGate, active: Callable[[], Sequence[Judge]], interval_s: float) -> None:
        self._gate, self._active, self._interval_s = gate, active, interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe-watch", daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; a probe that hangs is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._gate.wait(self._interval_s, self._stopping)
            try:
                self._gate.run(self._active())
            except DependencyFault as fault:
                log.debug("watch_unanswered", watch=self._thread.name, fault=str(fault))
            except Exception:
                log.exception("watch_failed", watch=self._thread.name)
