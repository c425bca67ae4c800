"""Flow: the stages of a chunk from records to committed outcomes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.encode.ports import ImageEncoder
from pipeline.errors import CommitAborted, CommitOverdue
from pipeline.events.chunks import Chunk
from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Record
from pipeline.ingest.decoder import Decoder, stack_pixels
from pipeline.ingest.event import refers
from pipeline.retry import Backoff
from pipeline.stream.active_set import CURRENT, ActiveJudges
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.chunk_trace import NO_TRACE, NO_TRACER, ChunkTrace, ChunkTracer, cause_of
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.items import Decoding, Encoding, Judged, Outcomes
from pipeline.stream.offset_ledger import OffsetLedger
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.ports import Sink
from pipeline.stream.progress import ChunkSize, CommitProgress
from pipeline.stream.stages import Stage, StageChain
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

ItemT = TypeVar("ItemT")

# Records in one decode task: with a task for each record, handing them over between threads costs more than it gains.
DECODE_SLICE = 16


def spans_of(chunk: Chunk) -> dict[int, tuple[int, int]]:
    """Return the offsets of a chunk by partition, for the log."""
    return {span.partition: (span.start, span.end) for span in chunk.spans}


def batched(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """Return the items in runs of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Limits on the work in flight: chunks, threads, images per request, and requests."""

    chunks_in_flight: int
    decode_threads: int
    fetch_threads: int
    batch_size: int
    requests_in_flight: int


class Flow:
    """
    The stages of one worker, and the thread pools they use.

    A chunk is handed to the decode pool as soon as it is polled, and the stage after waits for it, so that no pool is
    idle while an earlier chunk's last batch is out. References have a separate pool: a request that waits for
    someone else's server occupies no decoding thread. Nothing is judged while `require_probes` raises.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        encoder: ImageEncoder,
        judges: Callable[[], ActiveJudges],
        sink: Sink,
        breaker: DeadLetterBreaker,
        audit: AuditSampler,
        limits: FlowLimits,
        chunk_size: ChunkSize,
        backoff: Backoff,
        metrics: Metrics,
        outcomes: OutcomeMetrics,
        require_probes: Callable[[], None] = lambda: None,
        tracer: ChunkTracer = NO_TRACER,
    ) -> None:
        self.progress = CommitProgress()
        self.chunk_size = chunk_size
        self.aborted = False
        self.last_abort = ""
        self._ledger = OffsetLedger()
        self._decoder = decoder
        self._encoder = encoder
        self._judges = judges
        self._sink = sink
        self._breaker = breaker
        self._audit = audit
        self._limits = limits
        self._metrics = metrics
        self._outcomes, self._require_probes, self._tracer = outcomes, require_probes, tracer
        self._decode_pool = ThreadPoolExecutor(limits.decode_threads, "decode")
        self._fetch_pool = ThreadPoolExecutor(limits.fetch_threads, "fetch")
        self._encode_pool = ThreadPoolExecutor(limits.requests_in_flight, "encode")
        stages = [Stage("encode", self._encode), Stage("judge", self._judge), Stage("commit", self._commit)]
        self._stages = StageChain(
            stages,
            capacity=limits.chunks_in_flight,
            backoff=backoff,
            on_retry=lambda fault: metrics.retries.labels(fault.removesuffix("Fault").lower()).inc(),
            on_drop=lambda item, error: item.trace.end(cause_of(error)),
        )

    def start(self) -> None:
        """Start the stages' threads."""
        self._stages.start()

    @property
    def accepts(self) -> bool:
        """Whether chunks are accepted: from `restart` to `invalidate`, or until a commit fails."""
        return self._stages.open

    @property
    def in_flight(self) -> int:
        """The number of chunks that are neither committed nor dropped."""
        return self._stages.in_flight

    def has_capacity(self, timeout_s: float) -> bool:
        """Wait until another chunk may be offered or none is accepted any more; return whether there is capacity."""
        return self._stages.wait_for_room(timeout_s)

    def offer(self, chunk: Chunk) -> None:
        """Start work on a chunk."""
        log.debug("chunk_polled", spans=spans_of(chunk), records=len(chunk.records))
        trace = self._tracer.begin(chunk) or NO_TRACE
        self._metrics.records.inc(len(chunk.records))
        self._metrics.chunk_records.observe(len(chunk.records))
        held: list[Record] = []
        referred: list[Record] = []
        for record in chunk.records:
            (referred if refers(record) else held).append(record)
        epoch, size = self._stages.epoch, min(DECODE_SLICE, max(1, len(held) // self._limits.decode_threads))
        slices = [self._decode_pool.submit(self._decode, epoch, trace, part) for part in batched(held, size)]
        slices += [self._fetch_pool.submit(self._decode, epoch, trace, [record]) for record in referred]
        self._stages.offer(Decoding(chunk, trace, slices))

    def invalidate(self) -> None:
        """Drop every chunk in flight; none is accepted until `restart`."""
        self._stages.invalidate()

    def restart(self, positions: Mapping[int, int]) -> None:
        """Accept chunks again; `positions` has the start offset of each partition. No chunk may be in flight."""
        self._ledger.begin(positions)
        self._stages.begin()

    def next_offsets(self) -> dict[int, int]:
        """Return, by assigned partition, the offset at which the next commit must start."""
        return self._ledger.next_offsets()

    def set_share(self, share: float) -> None:
        """Set the share, 0 to 1, of the input topic's partitions that this worker reads."""
        self._audit.set_share(share)

    def waiting(self) -> dict[str, int]:
        """Return the number of chunks that wait in front of each stage."""
        return self._stages.waiting()

    def stuck(self, timeout_s: float) -> bool:
        """Tell whether a chunk has been in flight for more than `timeout_s` while no dependency was at fault."""
        return self._stages.oldest_s() > timeout_s and not self._stages.waits_for_dependency

    def raise_failure(self) -> None:
        """Raise the exception that stopped the stages, if there is one."""
        self._stages.raise_failure()

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until no chunk is in flight; return whether this happened in time."""
        return self._stages.wait_until_empty(timeout_s)

    def close(self) -> None:
        """Stop everything; chunks in flight are dropped."""
        self._stages.close()
        for pool in (self._decode_pool, self._fetch_pool, self._encode_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _encode(self, decoding: Decoding) -> Encoding:
        with self._metrics.stage_seconds.labels("decode").time():
            found = {origin: outcome for part in decoding.slices for origin, outcome in part.result()}
        outcomes = [found[record.origin] for record in decoding.chunk.records]
        images = [outcome for outcome in outcomes if isinstance(outcome, DecodedImage)]
        dead_letters = [outcome for outcome in outcomes if isinstance(outcome, DeadLetter)]
        batches = [
            self._encode_pool.submit(self._encode_batch, self._stages.epoch, decoding.trace, batch)
            for batch in batched(images, self._limits.batch_size)
        ]
        return Encoding(decoding.chunk, decoding.trace, images, dead_letters, batches)

    def _decode(self, epoch: int, trace: ChunkTrace, records: Sequence[Record]) -> Outcomes:
        retry, on_fault = self._stages.retry_until_stale, partial(trace.fault, "decode")
        with trace.stage("decode"):
            return [(each.origin, retry(epoch, partial(self._decoder, each), on_fault)) for each in records]

    def _encode_batch(self, epoch: int, trace: ChunkTrace, images: Sequence[DecodedImage]) -> NDArray[np.float32]:
        self._metrics.batch_images.observe(len(images))
        encode = partial(self._encoder.encode_images, stack_pixels(images))
        requests, seconds = self._metrics.encoder_requests, self._metrics.encoder_seconds
        with trace.stage("encode"), requests.track_inprogress(), seconds.time():
            return self._stages.retry_until_stale(epoch, encode, partial(trace.fault, "encode"))

    def _judge(self, encoding: Encoding) -> Judged:
        with self._metrics.stage_seconds.labels("encode").time():
            batches = [batch.result() for batch in encoding.batches]
        trace = encoding.trace
        with trace.stage("judge"):
            self._stages.retry_until_stale(self._stages.epoch, self._require_probes, partial(trace.fault, "judge"))
        embeddings = np.concatenate(batches) if batches else np.empty((0, 0), np.float32)
        with trace.stage("judge"), self._metrics.stage_seconds.labels("judge").time():
            judges = self._judges()
            verdicts = judges.judge_images(encoding.images, embeddings, datetime.now(UTC))
            roles = [judges.role(each) for each in verdicts]
            return Judged(encoding.chunk, trace, self._audited(verdicts, roles), roles, encoding.dead_letters)

    def _audited(self, verdicts: Sequence[Verdict], roles: Sequence[str]) -> list[Verdict]:
        """Return the verdicts; those from the current set that are sampled for an audit get their probability."""
        pairs = list(zip(verdicts, roles, strict=True))
        sampled = iter(self._audit.sample([each for each, role in pairs if role == CURRENT]))
        return [next(sampled) if role == CURRENT else each for each, role in pairs]

    def _commit(self, judged: Judged) -> None:
        chunk, records = judged.chunk, len(judged.chunk.records)
        _log_letters(judged.dead_letters)
        self._breaker.check(records, len(judged.dead_letters))
        started = time.monotonic()
        try:
            with judged.trace.stage("commit"):
                self._ledger.check(chunk.spans)
                refused = self._sink.emit(chunk, judged.verdicts, judged.dead_letters)
        except CommitAborted as aborted:
            self._note_abort(judged, aborted)
            return
        _log_letters(refused)
        self._note_commit(judged.without(refused), time.monotonic() - started)

    def _note_commit(self, judged: Judged, seconds: float) -> None:
        chunk, records = judged.chunk, len(judged.chunk.records)
        self._ledger.advance(chunk.spans)
        self.progress.committed()
        self.chunk_size.widen()
        self.last_abort = ""
        log.debug("chunk_committed", spans=spans_of(chunk), records=records)
        self._breaker.note(records, len(judged.dead_letters))
        self._metrics.commit_seconds.observe(seconds)
        self._metrics.stage_seconds.labels("commit").observe(seconds)
        self._outcomes.count(judged.verdicts, judged.roles, judged.dead_letters)
        judged.trace.end(verdicts=judged.verdicts, dead_letters=judged.dead_letters)

    def _note_abort(self, judged: Judged, aborted: CommitAborted) -> None:
        chunk, records = judged.chunk, len(judged.chunk.records)
        judged.trace.fault("commit", aborted)
        judged.trace.end(cause_of(aborted), judged.verdicts, judged.dead_letters)
        if isinstance(aborted, CommitOverdue):
            self.chunk_size.halve(records, sum(record.size_bytes for record in chunk.records))
        self.aborted, self.last_abort = True, str(aborted)
        self._stages.invalidate()
        self._metrics.commits_aborted.labels(type(aborted.__cause__ or aborted).__name__).inc()
        log.warning("commit_aborted", cause=str(aborted), records=records)


def _log_letters(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        origin = letter.record.origin
        log.warning(
            "dead_letter",
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            reason=letter.reason,
            detail=letter.detail,
        )
