"""A worker's life: assembled part by part, run until a signal."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import structlog
from threadpoolctl import threadpool_limits

from pipeline.encode.bundle import Bundle
from pipeline.errors import DependencyFault
from pipeline.ingest.decoder import Decoder, fetch_rules
from pipeline.ingest.fetch import Fetcher
from pipeline.settings import Settings
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.build import (
    _watch,
    build_backoff,
    build_broker_watch,
    build_decode_processes,
    build_encoder,
    build_flow,
    build_policy_source,
    build_policy_watcher,
    build_sink,
    build_source,
    build_worker,
    prepare_topics,
    set_info_recorder,
)
from pipeline.stream.retry import Backoff
from pipeline.stream.shutdown import Shutdown
from pipeline.stream.status import Status
from pipeline.stream.watches import ENCODER_S, TICK_S
from pipeline.stream.worker import Worker
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")


def run_worker(settings: Settings) -> None:
    """
    Run one worker until SIGTERM or SIGINT.

    Health and readiness answer from the start; then broker and Triton are waited for. Raises `UsageError` for what only
    a person can mend, `PolicyError` with places, `DeadLetterLimit`, `InstanceTaken` and `PositionLost`.
    """
    shutdown = Shutdown(settings.drain_timeout_s)
    shutdown.install()
    log.info("settings", **settings.shown())
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
        worker = _assemble(settings, shutdown, status, metrics, closing)
        shutdown.begin_work()
        worker.run()


def _assemble(settings: Settings, shutdown: Shutdown, status: Status, metrics: Metrics, closing: ExitStack) -> Worker:
    """Build the worker part by part, waiting for what each depends on; `closing` takes what is to be closed."""
    bundle, backoff = Bundle.load(settings.model), build_backoff(settings)
    encoder = build_encoder(settings, bundle, metrics)
    closing.callback(encoder.close)
    status.encoder = encoder
    _until_it_answers(encoder.check, backoff)
    if freed := _until_it_answers(encoder.free_abandoned_regions, backoff):
        log.info("abandoned_regions_freed", regions=freed)
    encoder_watch = _watch(closing, "encoder-watch", encoder.check, ENCODER_S)
    policy_source = _until_it_answers(lambda: build_policy_source(settings), backoff)
    policies = build_policy_watcher(settings, policy_source, encoder, bundle, metrics)
    _until_it_answers(lambda: policies.load(set_info_recorder(bundle, metrics)), backoff)
    closing.callback(policies.stop)
    status.policies = policies
    _until_it_answers(lambda: prepare_topics(settings), backoff)
    sink = _until_it_answers(lambda: build_sink(settings), backoff)
    closing.callback(sink.close)
    _until_it_answers(sink.recover, backoff)
    source = _until_it_answers(lambda: build_source(settings, metrics), backoff)
    closing.callback(source.close, timeout_s=5.0)
    broker = build_broker_watch(settings)
    status.broker = broker
    audit = AuditSampler(
        time.monotonic, lambda: len(source.partitions) / max(1, len(source.partitions), len(broker.ends))
    )
    processes = build_decode_processes(settings, bundle)
    closing.callback(processes.close)
    decoder = Decoder(processes.decode, Fetcher(fetch_rules(settings)))
    flow = build_flow(settings, decoder, encoder, policies.current, sink, audit, backoff, metrics)
    closing.callback(flow.close)
    worker = build_worker(settings, source, sink, flow, broker, shutdown, backoff, metrics)
    status.worker = worker
    encoder_watch.start()
    _watch(closing, "broker-watch", broker.look, TICK_S).start()
    closing.callback(broker.close)
    policies.start()
    log.info("worker started", model=bundle.manifest.name)
    return worker


def _until_it_answers(dependent: Callable[[], AnswerT], backoff: Backoff) -> AnswerT:
    pauses = backoff.pauses()
    while True:
        try:
            return dependent()
        except DependencyFault as fault:
            pause_s = next(pauses)
            log.warning("waiting for a dependency", fault=str(fault), pause_s=pause_s)
            time.sleep(pause_s)
