"""A worker on the real parts, from settings alone."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from typing import TypeVar

import structlog
from threadpoolctl import threadpool_limits

from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.lag import TopicWatch
from pipeline.broker.producer import TransactionalProducer, transactional_id
from pipeline.broker.topics import admitted_by, ensure_topics, require_room
from pipeline.emit.kafka import KafkaSink, OutputTopics
from pipeline.encode.bundle import Bundle
from pipeline.encode.prompt_bank import TextEncoder
from pipeline.encode.text_cache import CachedTextEncoder
from pipeline.encode.triton import TritonEncoder
from pipeline.errors import DependencyFault
from pipeline.ingest.decode import decode_here
from pipeline.ingest.decode_processes import DecodeProcesses
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
from pipeline.stream.progress import ChunkSize
from pipeline.stream.shutdown import Shutdown
from pipeline.stream.status import Status
from pipeline.stream.steps import Decoder
from pipeline.stream.topics import connection_of, policy_topic, topics_of
from pipeline.stream.watches import ENCODER_S, TURN_S, BrokerWatch, Watch
from pipeline.stream.worker import STUCK_S, Worker
from pipeline.telemetry import Metrics

log = structlog.get_logger()

# A broker that takes longer to say where a topic ends does not answer.
BROKER_TIMEOUT_S = 4.0

AnswerT = TypeVar("AnswerT")


def _prepare_topics(settings: Settings) -> None:
    """Make the topics that are missing. Raises `UsageError` when dead letters have no room in theirs."""
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    require_room(
        connection,
        source=settings.topic_images,
        target=settings.topic_dead_letters,
        envelope_bytes=ENVELOPE_BYTES,
    )


def build_source(settings: Settings, metrics: Metrics) -> GroupConsumer:
    """Return the input topic as this worker's group member reads it."""
    return GroupConsumer(
        connection_of(settings),
        topic=settings.topic_images,
        group_id=settings.group_id,
        instance_id=settings.instance_id,
        session_timeout_s=settings.session_timeout_s,
        max_record_bytes=settings.max_record_bytes,
        on_missed=metrics.records_missed.inc,
    )


def build_policy_source(settings: Settings) -> PolicySource:
    """Return where policies come from. Raises `BrokerFault`."""
    if settings.policy_source == "folder":
        return FolderPolicies(settings.policies)
    connection = connection_of(settings)
    ensure_topics(connection, [policy_topic(settings)])
    return PublishedPolicies(connection, settings.topic_policies)


def output_topics(settings: Settings) -> OutputTopics:
    """Return the names of the topics that a worker writes."""
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


def build_encoder(settings: Settings, bundle: Bundle, metrics: Metrics) -> TritonEncoder:
    """Return the bundle's towers behind the configured Triton."""
    return TritonEncoder(
        bundle,
        settings.triton_url,
        timeout_s=settings.triton_timeout_s,
        batch_size=settings.batch_size,
        slots=settings.requests_in_flight,
        shared_memory=settings.triton_shared_memory,
        on_error=lambda kind: metrics.encoder_errors.labels(kind).inc(),
    )


def build_decoder(settings: Settings, bundle: Bundle) -> Decoder:
    """Return the decoder for the bundle's pixels, in this process, under the configured limits."""
    decode = partial(
        decode_here,
        spec=bundle.pixels,
        limits=settings.image_limits,
        thumbnail_side=settings.archive_thumbnails,
    )
    return Decoder(decode, Fetcher(fetch_rules(settings)))


def build_decode_processes(settings: Settings, bundle: Bundle) -> DecodeProcesses:
    """Return the processes that decode for a worker, each with limits on CPU and memory."""
    return DecodeProcesses(
        settings.decode_threads, bundle.pixels, settings.image_limits, thumbnail_side=settings.archive_thumbnails
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
        ports=settings.fetch_ports,
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


def _build_policies(
    settings: Settings, source: PolicySource, encoder: TextEncoder, bundle: Bundle, metrics: Metrics
) -> PolicyWatch:
    return PolicyWatch(
        source,
        CachedTextEncoder(encoder, settings.text_cache),
        bundle.lineage,
        metrics,
        interval_s=settings.policy_interval_s,
    )


def _noting(bundle: Bundle, metrics: Metrics) -> Callable[[InForce], None]:
    """Return what tells the metrics about a set that comes in force."""

    def note(in_force: InForce) -> None:
        metrics.info.clear()
        metrics.policy_version.set(in_force.version)
        for role, judge in ((CURRENT, in_force.judge), (CANARY, in_force.canary)):
            if judge is not None:
                digest = judge.bank.policy_set.digest
                metrics.info.labels(version("watchword"), bundle.digest, digest, role).set(1)

    return note


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
    bundle, patience = Bundle.load(settings.model), _patience(settings)
    encoder = build_encoder(settings, bundle, metrics)
    closing.callback(encoder.close)
    status.encoder = encoder
    _until_it_answers(encoder.check, patience)
    if freed := _until_it_answers(encoder.free_abandoned_regions, patience):
        log.info("abandoned_regions_freed", regions=freed)
    encoder_watch = _watch(closing, "encoder-watch", encoder.check, ENCODER_S)
    policy_source = _until_it_answers(lambda: build_policy_source(settings), patience)
    policies = _build_policies(settings, policy_source, encoder, bundle, metrics)
    _until_it_answers(lambda: policies.load(_noting(bundle, metrics)), patience)
    closing.callback(policies.stop)
    status.policies = policies
    _until_it_answers(lambda: _prepare_topics(settings), patience)
    sink = _until_it_answers(lambda: build_sink(settings), patience)
    closing.callback(sink.close)
    _until_it_answers(sink.recover, patience)
    source = _until_it_answers(lambda: build_source(settings, metrics), patience)
    closing.callback(source.close, timeout_s=5.0)
    broker = _broker_watch(settings)
    status.broker = broker
    audit = AuditDraw(time.monotonic, lambda: len(source.partitions) / max(1, len(source.partitions), len(broker.ends)))
    processes = build_decode_processes(settings, bundle)
    closing.callback(processes.close)
    decoder = Decoder(processes.decode, Fetcher(fetch_rules(settings)))
    flow = _build_flow(settings, decoder, encoder, policies.current, sink, audit, patience, metrics)
    closing.callback(flow.close)
    worker = _build_worker(settings, source, sink, flow, broker, shutdown, patience, metrics)
    status.worker = worker
    encoder_watch.start()
    _watch(closing, "broker-watch", broker.look, TURN_S).start()
    closing.callback(broker.close)
    policies.start()
    log.info("worker started", model=bundle.manifest.name)
    return worker


def _watch(closing: ExitStack, name: str, action: Callable[[], object], interval_s: float) -> Watch:
    watch = Watch(name, action, interval_s)
    closing.callback(watch.stop)
    return watch


def _broker_watch(settings: Settings) -> BrokerWatch:
    broker = TopicWatch(connection_of(settings), timeout_s=BROKER_TIMEOUT_S)
    return BrokerWatch(broker, (settings.topic_images, *output_topics(settings).names()))


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
            settings.chunks_in_work,
            settings.decode_threads,
            settings.fetch_threads,
            settings.batch_size,
            settings.requests_in_flight,
        ),
        chunk_size=ChunkSize(settings.chunk_max_records, settings.chunk_max_bytes),
        patience=patience,
        metrics=metrics,
    )


def _build_worker(
    settings: Settings,
    source: Source,
    sink: Sink,
    flow: Flow,
    broker: BrokerWatch,
    shutdown: Shutdown,
    patience: Patience,
    metrics: Metrics,
) -> Worker:
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
        patience=patience,
        metrics=metrics,
        stopping=shutdown.asked,
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
