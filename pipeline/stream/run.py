"""The life of a worker: assembled part by part, then run until a signal."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import structlog
from threadpoolctl import threadpool_limits

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.errors import DependencyFault, WatchwordError
from pipeline.ingest.decoder import Decoder, fetch_rules
from pipeline.ingest.fetch import Fetcher
from pipeline.retry import Retry
from pipeline.settings import Settings
from pipeline.stream import build
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.flow import Flow
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.stream.ports import Sink
from pipeline.stream.shutdown import Shutdown
from pipeline.stream.status import Status
from pipeline.stream.watches import ENCODER_S, TICK_S, Watch
from pipeline.stream.worker import Worker
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")


def run_worker(settings: Settings) -> None:
    """
    Run one worker until SIGTERM or SIGINT.

    Health and readiness are served from the start, while the worker waits for the broker and Triton. Raises
    `UsageError` for faults that only a person can mend, `PolicyError` with places, `DeadLetterLimit`, `InstanceTaken`
    and `PositionLost`.
    """
    shutdown = Shutdown(settings.drain_timeout_s)
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

    def worker(self) -> Worker:
        """Return the worker, with every watch running."""
        settings, status = self._settings, self._status
        encoder = self._encoder()
        encoder_watch = self._watch("encoder-watch", encoder.check, ENCODER_S)
        policies = self._policies(encoder)
        self._wait_for(lambda: build.prepare_topics(settings))
        sink = self._sink()
        source = self._wait_for(lambda: build.build_source(settings, self._metrics))
        self._closing.callback(source.close, timeout_s=5.0)
        broker = status.broker = build.build_broker_watch(settings)
        flow = self._flow(encoder, policies, sink)
        worker = build.build_worker(settings, source, sink, flow, broker, self._shutdown, self._backoff, self._metrics)
        status.worker = worker
        encoder_watch.start()
        self._watch("broker-watch", broker.look, TICK_S).start()
        self._closing.callback(broker.close)
        policies.start()
        log.info("worker_started", model=self._bundle.manifest.name)
        return worker

    def _encoder(self) -> TritonEncoder:
        encoder = self._status.encoder = build.build_encoder(self._settings, self._bundle, self._metrics)
        self._closing.callback(encoder.close)
        self._wait_for(encoder.check)
        if freed := self._wait_for(encoder.free_abandoned_regions):
            log.info("abandoned_regions_freed", regions=freed)
        return encoder

    def _policies(self, encoder: TritonEncoder) -> PolicyWatcher:
        source = self._wait_for(lambda: build.build_policy_source(self._settings))
        policies = build.build_policy_watcher(self._settings, source, encoder, self._bundle, self._metrics)
        self._wait_for(lambda: policies.load(build.info_recorder(self._bundle, self._metrics)))
        self._closing.callback(policies.stop)
        self._status.policies = policies
        return policies

    def _sink(self) -> Sink:
        sink = self._wait_for(lambda: build.build_sink(self._settings))
        self._closing.callback(sink.close)
        self._wait_for(sink.recover)
        return sink

    def _flow(self, encoder: TritonEncoder, policies: PolicyWatcher, sink: Sink) -> Flow:
        processes = build.build_decode_processes(self._settings, self._bundle)
        self._closing.callback(processes.close)
        decoder = Decoder(processes.decode, Fetcher(fetch_rules(self._settings)))
        audit = AuditSampler(time.monotonic)
        flow = build.build_flow(
            self._settings, decoder, encoder, policies.current, sink, audit, self._backoff, self._metrics
        )
        self._closing.callback(flow.close)
        return flow

    def _watch(self, name: str, action: Callable[[], object], interval_s: float) -> Watch:
        watch = Watch(name, action, interval_s)
        self._closing.callback(watch.stop)
        return watch

    def _wait_for(self, dependent: Callable[[], AnswerT]) -> AnswerT:
        retry = Retry(self._backoff, self._shutdown.asked.wait, _report)
        return retry.call(dependent, DependencyFault)


def _report(fault: WatchwordError, pause_s: float) -> None:
    log.warning("dependency_awaited", fault=str(fault), pause_s=pause_s)
