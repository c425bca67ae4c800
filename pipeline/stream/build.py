"""A worker on the real parts, from settings alone."""

import signal
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TypeVar

import structlog
from threadpoolctl import threadpool_limits

from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.producer import TransactionalProducer
from pipeline.broker.topics import ensure_topics, partitions_of, require_room
from pipeline.emit.kafka import KafkaSink, OutputTopics
from pipeline.encode.bundle import Bundle
from pipeline.encode.prompt_bank import TextEncoder
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.encode.triton import TritonEncoder
from pipeline.errors import DependencyFault
from pipeline.ingest.fetch import Fetcher, FetchRules
from pipeline.settings import ENVELOPE_BYTES, Settings
from pipeline.stream.archiver import Archiver, Store
from pipeline.stream.audit_draw import AuditDraw
from pipeline.stream.dead_letter_limit import DeadLetterGate
from pipeline.stream.flow import Flow, FlowLimits
from pipeline.stream.health import HealthServer
from pipeline.stream.in_force import CANARY, CURRENT, InForce
from pipeline.stream.patience import Patience
from pipeline.stream.policy_sources import FolderPolicies, PolicySource, PublishedPolicies
from pipeline.stream.policy_watch import PolicyWatch
from pipeline.stream.ports import ImageEncoder, Sink, Source
from pipeline.stream.steps import Decoder
from pipeline.stream.topics import connection_of, policy_topic, topics_of
from pipeline.stream.worker import Worker
from pipeline.telemetry import Metrics

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")


def _prepare_topics(settings: Settings) -> int:
    """Return the largest record the dead-letter topic, and so the producer, admits."""
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    return require_room(
        connection,
        source=settings.topic_images,
        target=settings.topic_dead_letters,
        envelope_bytes=ENVELOPE_BYTES,
    )


def build_source(settings: Settings) -> GroupConsumer:
    """Return the input topic as this worker's group member reads it."""
    return GroupConsumer(
        connection_of(settings),
        topic=settings.topic_images,
        group_id=settings.group_id,
        instance_id=settings.instance_id,
        session_timeout_s=settings.session_timeout_s,
        max_record_bytes=settings.max_record_bytes,
    )


def build_policy_source(settings: Settings) -> PolicySource:
    """Return where policies come from. Raises `BrokerFault`."""
    if settings.policy_source == "folder":
        return FolderPolicies(settings.policies)
    connection = connection_of(settings)
    ensure_topics(connection, [policy_topic(settings)])
    return PublishedPolicies(connection, settings.topic_policies)


def build_sink(settings: Settings, largest_record_bytes: int) -> KafkaSink:
    """Return the transactional sink of this worker."""
    producer = TransactionalProducer(
        connection_of(settings),
        instance_id=settings.instance_id,
        transaction_timeout_s=settings.transaction_timeout_s,
        commit_timeout_s=settings.commit_timeout_s,
        max_record_bytes=largest_record_bytes,
    )
    topics = OutputTopics(
        settings.topic_flags, settings.topic_verdicts, settings.topic_embeddings, settings.topic_dead_letters
    )
    return KafkaSink(producer, topics, input_topic=settings.topic_images)


def build_encoder(settings: Settings, bundle: Bundle, metrics: Metrics) -> TritonEncoder:
    """Return the bundle's towers behind the configured Triton."""
    return TritonEncoder(
        bundle,
        settings.triton_url,
        timeout_s=settings.triton_timeout_s,
        batch_size=settings.batch_size,
        slots=settings.requests_in_flight,
        shared_memory=settings.triton_shared_memory,
        region_prefix=f"watchword-{settings.instance_id}",
        on_error=lambda kind: metrics.encoder_errors.labels(kind).inc(),
    )


def build_decoder(settings: Settings, bundle: Bundle) -> Decoder:
    """Return the decoder for the bundle's pixels, under the configured limits."""
    return Decoder(
        bundle.pixels, settings.image_limits, Fetcher(fetch_rules(settings)), thumbnail_side=settings.archive_thumbnails
    )


def fetch_rules(settings: Settings) -> FetchRules:
    """Return what references may be fetched, and for how long."""
    return FetchRules(
        file_roots=settings.file_roots,
        http=settings.http_references,
        max_bytes=settings.max_image_bytes,
        timeout_s=settings.fetch_timeout_s,
        tries=settings.fetch_tries,
        redirects=settings.fetch_redirects,
        allow_loopback=settings.fetch_allow_loopback,
    )


def build_archiver(settings: Settings, store: Store) -> Archiver:
    """Return what archives the embeddings' topic, a member of a group of its own. Raises `BrokerFault`."""
    ensure_topics(connection_of(settings), topics_of(settings))
    source = GroupConsumer(
        connection_of(settings),
        topic=settings.topic_embeddings,
        group_id=f"{settings.group_id}-archive",
        instance_id=f"{settings.instance_id}-archive",
        session_timeout_s=settings.session_timeout_s,
        max_record_bytes=1 << 20,
    )
    return Archiver(
        source,
        store,
        batch_rows=settings.archive_batch_rows,
        flush_s=settings.archive_flush_s,
        compact_every=settings.archive_compact_every,
        commit_timeout_s=settings.commit_timeout_s,
        patience=_patience(settings),
    )


def _patience(settings: Settings) -> Patience:
    return Patience(settings.retry_backoff_s, settings.retry_backoff_max_s)


def _load_policies(settings: Settings, encoder: TextEncoder, bundle: Bundle, metrics: Metrics) -> PolicyWatch:
    """Return the watch over the policies, with its first set in force; waits for what it depends on."""

    def note(in_force: InForce) -> None:
        metrics.info.clear()
        metrics.policy_version.set(in_force.version)
        for role, judge in ((CURRENT, in_force.judge), (CANARY, in_force.canary)):
            if judge is not None:
                digest = judge.bank.policy_set.digest
                metrics.info.labels(version("watchword"), bundle.digest, digest, role).set(1)

    patience = _patience(settings)
    policies = PolicyWatch(
        _until_it_answers(lambda: build_policy_source(settings), patience),
        CachedTextEncoder(encoder, settings.text_cache),
        bundle.lineage,
        metrics,
        interval_s=settings.policy_interval_s,
    )
    _until_it_answers(lambda: policies.load(note), patience)
    return policies


def run_worker(settings: Settings) -> None:
    """
    Run one worker until SIGTERM or SIGINT.

    Waits for broker and Triton to answer. Raises `UsageError` for what only a person can mend, `PolicyError` with
    places, `DeadLetterLimit` and `InstanceTaken`.
    """
    log.info("settings", **settings.shown())
    # A chunk's matrix product is small; the library's other threads would spin for it on cores that decode.
    threadpool_limits(limits=1, user_api="blas")
    bundle, metrics = Bundle.load(settings.model), Metrics()
    encoder, patience = build_encoder(settings, bundle, metrics), _patience(settings)
    _until_it_answers(encoder.check, patience)
    policies = _load_policies(settings, encoder, bundle, metrics)
    largest_record_bytes = _until_it_answers(lambda: _prepare_topics(settings), patience)
    sink = build_sink(settings, largest_record_bytes)
    _until_it_answers(sink.recover, patience)
    source = build_source(settings)
    partitions = len(partitions_of(connection_of(settings), [settings.topic_images]))
    audit = AuditDraw(time.monotonic, lambda: len(source.partitions) / max(1, partitions))
    decoder = build_decoder(settings, bundle)
    flow = _build_flow(settings, decoder, encoder, policies.current, sink, audit, patience, metrics)
    worker = _build_worker(settings, source, sink, flow, patience, metrics)
    health = HealthServer(
        settings.http_host,
        settings.http_port,
        metrics,
        alive=lambda: {"loop": worker.alive(), "policies": policies.watching()},
        ready=lambda: {"assigned": worker.assigned, "model": encoder.answering, "policies": True},
    )
    log.info("worker started", health=health.address, model=bundle.manifest.name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    policies.start()
    try:
        worker.run()
    finally:
        policies.stop()
        flow.close()
        source.close(timeout_s=5.0)
        sink.close()
        encoder.close()
        health.close()


def _build_flow(
    settings: Settings,
    decoder: Decoder,
    encoder: ImageEncoder,
    in_force: Callable[[], InForce],
    sink: Sink,
    audit: AuditDraw,
    patience: Patience,
    metrics: Metrics,
) -> Flow:
    return Flow(
        decoder=decoder,
        encoder=encoder,
        in_force=in_force,
        sink=sink,
        gate=DeadLetterGate(
            share=settings.dead_letter_share,
            window_s=settings.dead_letter_window_s,
            minimum=settings.dead_letter_minimum,
            override=settings.allow_dead_letters,
            clock=time.monotonic,
        ),
        audit=audit,
        limits=FlowLimits(
            settings.chunks_in_work, settings.decode_threads, settings.batch_size, settings.requests_in_flight
        ),
        patience=patience,
        metrics=metrics,
    )


def _build_worker(
    settings: Settings, source: Source, sink: Sink, flow: Flow, patience: Patience, metrics: Metrics
) -> Worker:
    return Worker(
        source,
        sink,
        flow,
        max_records=settings.chunk_max_records,
        max_bytes=settings.chunk_max_bytes,
        rewind_timeout_s=settings.commit_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        patience=patience,
        metrics=metrics,
    )


def _until_it_answers(dependent: Callable[[], AnswerT], patience: Patience) -> AnswerT:
    pauses = patience.pauses()
    while True:
        try:
            return dependent()
        except DependencyFault as fault:
            pause_s = next(pauses)
            log.warning("waiting for a dependency", fault=str(fault), pause_s=pause_s)
            time.sleep(pause_s)
