"""Parts of a worker, built from settings."""

import math
import time
from collections.abc import Callable

import structlog

from pipeline.broker.configured import connection_of
from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.lag import TopicWatch
from pipeline.broker.producer import TransactionalProducer, transactional_id
from pipeline.broker.topics import admitted_by, ensure_topics, require_capacity, require_rights
from pipeline.broker.topology import archive_group, policy_topic, topics_of
from pipeline.emit.kafka import KafkaSink, OutputTopics
from pipeline.encode.bundle import Bundle
from pipeline.encode.ports import ImageEncoder, TextEncoder
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.encode.triton import TritonEncoder
from pipeline.encode.triton_pool import TritonPool, resolver_of
from pipeline.encode.triton_tls import triton_tls_of
from pipeline.ingest.decode_processes import DecodeProcesses
from pipeline.ingest.decoder import Decoder
from pipeline.releases.sources import FolderPolicies, PolicySource, PublishedPolicies
from pipeline.retry import Backoff
from pipeline.settings import ENVELOPE_BYTES, Settings
from pipeline.stream.active_set import ActiveJudges
from pipeline.stream.archiver import Archiver, Store
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.chunk_trace import ChunkTracer
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.flow import Flow, FlowLimits
from pipeline.stream.judge_builder import JudgeBuilder
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.policy_metrics import PolicyMetrics
from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.stream.ports import Sink, Source
from pipeline.stream.probe_gate import ProbeGate
from pipeline.stream.progress import ChunkSize
from pipeline.stream.shutdown import Shutdown
from pipeline.stream.watches import BrokerWatch
from pipeline.stream.worker import STUCK_S, Worker
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

# Deadline of a question about the ends of topics.
BROKER_TIMEOUT_S = 4.0


def check_connections(settings: Settings) -> None:
    """Raise `UsageError` for settings of TLS and SASL that do not fit together, and for files that cannot be used."""
    connection_of(settings)
    triton_tls_of(settings)


def prepare_topics(settings: Settings) -> None:
    """Create missing topics. Raises `UsageError` without a right, or when dead letters do not fit into their topic."""
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    outputs = output_topics(settings).names()
    require_rights(connection, {settings.topic_images: "READ", **dict.fromkeys(outputs, "WRITE")})
    require_capacity(
        connection,
        source=settings.topic_images,
        target=settings.topic_dead_letters,
        envelope_bytes=ENVELOPE_BYTES,
    )


def build_source(settings: Settings, metrics: Metrics) -> GroupConsumer:
    """Return the input topic, read as this worker's member of the consumer group."""
    return GroupConsumer(
        connection_of(settings),
        topic=settings.topic_images,
        group_id=settings.group_id,
        instance_id=settings.instance_id,
        session_timeout_s=settings.session_timeout_s,
        max_record_bytes=settings.max_record_bytes,
        on_missed=metrics.records_missed.inc,
        on_fenced=metrics.fencings.inc,
    )


def build_policy_source(settings: Settings) -> PolicySource:
    """Return the source of policy sets that is set: a folder or the control topic. Raises `BrokerFault`."""
    if settings.policy_source == "folder":
        return FolderPolicies(settings.policies)
    connection = connection_of(settings)
    ensure_topics(connection, [policy_topic(settings)])
    return PublishedPolicies(connection, settings.topic_policies)


def output_topics(settings: Settings) -> OutputTopics:
    """Return the names of the output topics."""
    return OutputTopics(
        settings.topic_flags, settings.topic_verdicts, settings.topic_embeddings, settings.topic_dead_letters
    )


def build_sink(settings: Settings) -> KafkaSink:
    """Return the transactional sink of this worker. Raises `BrokerFault`."""
    connection, topics = connection_of(settings), output_topics(settings)
    admitted = admitted_by(connection, topics.names())
    producer = TransactionalProducer(
        connection,
        instance_id=settings.instance_id,
        transactional_id=transactional_id(settings.group_id, settings.instance_id),
        transaction_timeout_s=settings.transaction_timeout_s,
        commit_timeout_s=settings.commit_timeout_s,
        max_record_bytes=max(admitted.values()),
        max_batch_bytes=min(admitted.values()),
        compression=settings.output_compression,
    )
    return KafkaSink(
        producer,
        topics,
        input_topic=settings.topic_images,
        admitted=lambda: admitted_by(connection, topics.names()),
    )


def build_encoder(settings: Settings, bundle: Bundle, metrics: Metrics) -> TritonPool:
    """Return the encoder that asks the configured Tritons for the bundle's towers."""
    tls = triton_tls_of(settings)

    def connect(address: str) -> TritonEncoder:
        return TritonEncoder(
            bundle,
            address,
            timeout_s=settings.triton_timeout_s,
            batch_size=max(2, settings.batch_size),
            slots=settings.requests_in_flight,
            shared_memory=settings.triton_shared_memory,
            on_error=lambda kind: metrics.encoder_errors.labels(kind).inc(),
            tls=tls,
        )

    return TritonPool(
        # A certificate names the host, so with TLS every server needs a name of its own.
        resolver_of(settings.triton_url, resolved=tls is None),
        connect,
        model_digest=bundle.digest,
        logit_scale=bundle.manifest.logit_scale,
        on_request=lambda address: metrics.triton_requests.labels(address).inc(),
        on_change=lambda address, up: metrics.triton_up.labels(address).set(up),
    )


def build_decode_processes(settings: Settings, bundle: Bundle) -> DecodeProcesses:
    """Return the processes that decode images, each with limits on CPU and memory."""
    return DecodeProcesses(
        settings.decode_threads, bundle.pixels, settings.image_limits, thumbnail_side=settings.archive_thumbnails
    )


def build_archiver(settings: Settings, store: Store) -> Archiver:
    """Return the archiver of the embeddings topic, a member of a separate consumer group. Raises `BrokerFault`."""
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings, only=settings.topic_embeddings))
    source = GroupConsumer(
        connection,
        topic=settings.topic_embeddings,
        group_id=archive_group(settings),
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
        backoff=build_backoff(settings),
    )


def build_backoff(settings: Settings) -> Backoff:
    """Return the pauses between tries of a dependency."""
    return Backoff(settings.retry_backoff_s, settings.retry_backoff_max_s)


def build_policy_watcher(
    settings: Settings,
    source: PolicySource,
    encoder: TextEncoder,
    bundle: Bundle,
    gate: ProbeGate,
    metrics: PolicyMetrics,
) -> PolicyWatcher:
    """Return the watcher that keeps the active policy set up to date."""
    cached = CachedTextEncoder(encoder, settings.text_cache)
    builder = JudgeBuilder(cached, bundle.lineage, gate.require_set)
    return PolicyWatcher(source, builder, metrics, interval_s=settings.policy_interval_s)


def build_broker_watch(settings: Settings) -> BrokerWatch:
    """Return the watch that asks the broker for the end of every topic of the worker."""
    broker = TopicWatch(connection_of(settings), timeout_s=BROKER_TIMEOUT_S)
    return BrokerWatch(broker, (settings.topic_images, *output_topics(settings).names()))


def build_flow(
    settings: Settings,
    decoder: Decoder,
    encoder: ImageEncoder,
    judges: Callable[[], ActiveJudges],
    sink: Sink,
    audit: AuditSampler,
    backoff: Backoff,
    metrics: Metrics,
    outcomes: OutcomeMetrics,
    require_probes: Callable[[], None],
    tracer: ChunkTracer,
) -> Flow:
    """Return the flow: the stages from records to committed outcomes. A request leaves room for a golden image."""
    limits = FlowLimits(
        settings.chunks_in_work,
        settings.decode_threads,
        settings.fetch_threads,
        max(1, settings.batch_size - 1),
        settings.requests_in_flight,
    )
    metrics.capacity.labels("chunks").set(limits.chunks_in_flight)
    metrics.capacity.labels("requests").set(limits.requests_in_flight)
    metrics.capacity.labels("batch_images").set(limits.batch_size)
    return Flow(
        decoder=decoder,
        encoder=encoder,
        judges=judges,
        sink=sink,
        breaker=DeadLetterBreaker(
            share=settings.dead_letter_share,
            window_s=settings.dead_letter_window_s,
            minimum=settings.dead_letter_minimum,
            override=settings.allow_dead_letters,
            clock=time.monotonic,
        ),
        audit=audit,
        limits=limits,
        chunk_size=ChunkSize(settings.chunk_max_records, settings.chunk_max_bytes),
        backoff=backoff,
        metrics=metrics,
        outcomes=outcomes,
        require_probes=require_probes,
        tracer=tracer,
    )


def build_worker(
    settings: Settings,
    source: Source,
    sink: Sink,
    flow: Flow,
    broker: BrokerWatch,
    shutdown: Shutdown,
    backoff: Backoff,
    metrics: Metrics,
) -> Worker:
    """Return the worker's loop around a flow."""
    rounds = math.ceil(settings.chunk_max_records / settings.fetch_threads)
    return Worker(
        source,
        sink,
        flow,
        ends=lambda: broker.ends,
        rewind_timeout_s=settings.commit_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        # All references of a chunk may be to hosts that are silent until the deadline.
        chunk_timeout_s=STUCK_S + rounds * settings.fetch_timeout_s,
        backoff=backoff,
        metrics=metrics,
        stopping=shutdown.asked,
    )
