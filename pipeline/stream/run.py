"""The life of a worker: assembled part by part, then run until a signal."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import structlog
from threadpoolctl import threadpool_limits

from pipeline.broker.consumer import GroupConsumer
from pipeline.encode.bundle import Bundle
from pipeline.encode.triton_pool import TritonPool
from pipeline.errors import DependencyFault, WatchwordError
from pipeline.ingest.decode_processes import DecodeProcesses
from pipeline.ingest.decoder import Decoder, fetch_rules
from pipeline.ingest.fetch import Fetcher
from pipeline.retry import Retry
from pipeline.settings import Settings
from pipeline.stream import build
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.build_probes import build_guarded_encoder, build_probes
from pipeline.stream.build_traces import build_tracer
from pipeline.stream.drift import DriftMonitor
from pipeline.stream.flow import Flow
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.policy_metrics import PolicyMetrics
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.stream.ports import Sink
from pipeline.stream.probe_gate import ProbeGate, ProbeWatch
from pipeline.stream.shutdown import CLOSING_S, LEAVING_S, Shutdown
from pipeline.stream.status import Status
from pipeline.stream.watches import DRIFT_S, ENCODER_S, TICK_S, Watch
from pipeline.stream.worker import Worker
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")


def run_worker(settings: Settings) -> None:
    """
    Run one worker until SIGTERM or SIGINT.

    Health and readiness are served from the start, while the worker waits for the broker and Triton. Raises
    `UsageError` for faults that only a person can mend, `PolicyError` with places, `DeadLetterLimit`, `InstanceTaken`
    and `PositionLost`.
    """
    shutdown = Shutdown(settings.drain_timeout_s, LEAVING_S if settings.leave_on_stop else CLOSING_S)
    shutdown.install()
    log.info("settings", **settings.shown())
    build.check_connections(settings)
    # A chunk's matrix product is small; the library's other threads would spin for it on cores that decode.
    threadpool_limits(limits=1, user_api="blas")
    metrics, status = Metrics(), Status()
    with ExitStack() as closing:
        health = HealthServer(
            settings.http_host,
            settings.http_port,
            metrics,
            alive=status.alive,
            ready=status.ready,
            allowed_hosts=settings.http_allowed_hosts,
        )
        closing.callback(health.close)
        log.info("health_answers", address=health.address)
        worker = _Assembly(settings, shutdown, status, metrics, closing).worker()
        shutdown.begin_work()
        worker.run()


class _Assembly:
    """Builds a worker part by part, and waits for the dependency of each; `closing` takes the parts to close."""

    def __init__(
        self, settings: Settings, shutdown: Shutdown, status: Status, metrics: Metrics, closing: ExitStack
    ) -> None:
        self._settings, self._shutdown, self._status = settings, shutdown, status
        self._metrics, self._closing = metrics, closing
        self._backoff = build.build_backoff(settings)
        self._bundle = Bundle.load(settings.model)
        self._tracer = build_tracer(settings, self._bundle.digest)
        closing.callback(self._tracer.close)
        self._labels = PolicyLabels(settings.metrics_policies, metrics.policies_unlabelled.set)
        drift = DriftMonitor(settings.drift_window_s, settings.drift_reference_s, time.monotonic)
        self._outcomes = OutcomeMetrics(metrics, self._labels, drift)

    def worker(self) -> Worker:
        """Return the worker, with every watch running."""
        settings, status = self._settings, self._status
        encoder, processes = self._encoder(), self._processes()
        encoder_watch = self._watch("encoder-watch", encoder.check, ENCODER_S)
        gate = self._gate(encoder, processes)
        policies = self._policies(encoder, gate)
        self._wait_for(lambda: build.prepare_topics(settings))
        sink = self._sink()
        source = self._wait_for(lambda: build.build_source(settings, self._metrics))
        self._closing.callback(self._close, source)
        broker = status.broker = build.build_broker_watch(settings)
        flow = self._flow(encoder, processes, gate, policies, sink)
        worker = build.build_worker(settings, source, sink, flow, broker, self._shutdown, self._backoff, self._metrics)
        status.worker = worker
        encoder_watch.start()
        self._probe_watch(gate, policies, flow).start()
        self._watch("drift-watch", self._outcomes.measure_drift, DRIFT_S).start()
        self._watch("broker-watch", broker.look, TICK_S).start()
        self._closing.callback(broker.close)
        policies.start()
        log.info("worker_started", model=self._bundle.manifest.name)
        return worker

    def _encoder(self) -> TritonPool:
        encoder = self._status.encoder = build.build_encoder(self._settings, self._bundle, self._metrics)
        self._closing.callback(encoder.close)
        self._wait_for(encoder.check)
        if freed := self._wait_for(encoder.free_abandoned_regions):
            log.info("abandoned_regions_freed", regions=freed)
        return encoder

    def _processes(self) -> DecodeProcesses:
        processes = build.build_decode_processes(self._settings, self._bundle)
        self._closing.callback(processes.close)
        return processes

    def _gate(self, encoder: TritonPool, processes: DecodeProcesses) -> ProbeGate:
        gate = self._status.gate = ProbeGate(self._metrics)
        gate.attach(build_probes(self._bundle, processes, encoder, self._settings.batch_size))

        def pass_probes() -> None:
            gate.run(())
            gate.require_open()

        self._wait_for(pass_probes)
        return gate

    def _probe_watch(self, gate: ProbeGate, policies: PolicyWatcher, flow: Flow) -> ProbeWatch:
        gate.on_change = flow.invalidate
        watch = ProbeWatch(gate, lambda: policies.current().judges(), self._settings.probe_interval_s)
        self._closing.callback(watch.stop)
        return watch

    def _policies(self, encoder: TritonPool, gate: ProbeGate) -> PolicyWatcher:
        source = self._wait_for(lambda: build.build_policy_source(self._settings))
        recorded = PolicyMetrics(self._metrics, self._labels, self._bundle.digest)
        policies = build.build_policy_watcher(self._settings, source, encoder, self._bundle, gate, recorded)
        self._wait_for(policies.load)
        self._closing.callback(policies.stop)
        self._status.policies = policies
        return policies

    def _sink(self) -> Sink:
        sink = self._wait_for(lambda: build.build_sink(self._settings))
        self._closing.callback(sink.close)
        self._wait_for(sink.recover)
        return sink

    def _flow(
        self,
        encoder: TritonPool,
        processes: DecodeProcesses,
        gate: ProbeGate,
        policies: PolicyWatcher,
        sink: Sink,
    ) -> Flow:
        guarded = build_guarded_encoder(self._bundle, processes, encoder, gate, self._metrics)
        decoder = Decoder(processes.decode, Fetcher(fetch_rules(self._settings)))
        audit = AuditSampler(time.monotonic)
        flow = build.build_flow(
            self._settings,
            decoder,
            guarded,
            policies.current,
            sink,
            audit,
            self._backoff,
            self._metrics,
            self._outcomes,
            gate.require_open,
            self._tracer,
        )
        self._closing.callback(flow.close)
        return flow

    def _close(self, source: GroupConsumer) -> None:
        """Close the consumer; a worker that was asked to stop leaves its group if the settings say so."""
        leave = self._settings.leave_on_stop and self._shutdown.asked.is_set()
        try:
            source.close(timeout_s=5.0, leave=leave)
        except DependencyFault as fault:
            log.warning("group_not_left", fault=str(fault))

    def _watch(self, name: str, action: Callable[[], object], interval_s: float) -> Watch:
        watch = Watch(name, action, interval_s)
        self._closing.callback(watch.stop)
        return watch

    def _wait_for(self, dependent: Callable[[], AnswerT]) -> AnswerT:
        retry = Retry(self._backoff, self._shutdown.asked.wait, _report)
        return retry.call(dependent, DependencyFault)


def _report(fault: WatchwordError, pause_s: float) -> None:
    log.warning("dependency_awaited", fault=str(fault), pause_s=pause_s)
