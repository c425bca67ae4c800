"""What a chunk goes through: decode, encode, judge, commit."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Self, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.encode.ports import ImageEncoder
from pipeline.errors import CommitAborted, CommitOverdue
from pipeline.events.chunks import Chunk
from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import Mode
from pipeline.events.records import Origin, Record
from pipeline.ingest.decoder import Decoder, stack_pixels
from pipeline.ingest.event import refers
from pipeline.stream.active_set import CANARY, CURRENT, ActiveJudges
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.offset_ledger import OffsetLedger
from pipeline.stream.ports import Sink
from pipeline.stream.progress import ChunkSize, Progress
from pipeline.stream.retry import Backoff
from pipeline.stream.stages import Stage, StageChain
from pipeline.telemetry.metrics import Metrics

log = structlog.get_logger()

ItemT = TypeVar("ItemT")

# None for a record that nobody waits for any more.
_Outcomes = list[tuple[Origin, DecodedImage | DeadLetter | None]]

# Records one decode task takes: a task each costs more in hand-over between threads than the hand-over is worth.
DECODE_SLICE = 16


def spans_of(polled: Chunk) -> dict[int, tuple[int, int]]:
    """Return the offsets a chunk covers, as the log shows them."""
    return {span.partition: (span.start, span.end) for span in polled.spans}


def batched(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """Return the items in runs of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(frozen=True, slots=True)
class _Decoding:
    polled: Chunk
    slices: list[Future[_Outcomes]]


@dataclass(frozen=True, slots=True)
class _Encoding:
    polled: Chunk
    images: list[DecodedImage]
    dead_letters: list[DeadLetter]
    batches: list[Future[NDArray[np.float32] | None]]


@dataclass(frozen=True, slots=True)
class _Judged:
    polled: Chunk
    verdicts: list[Verdict]
    roles: list[str]
    dead_letters: list[DeadLetter]

    def without(self, refused: Sequence[DeadLetter]) -> Self:
        """Return the chunk with dead letters in the place of verdicts."""
        if not refused:
            return self
        gone = {letter.record.origin for letter in refused}
        kept = [place for place, each in enumerate(self.verdicts) if each.image.event.origin not in gone]
        return replace(
            self,
            verdicts=[self.verdicts[place] for place in kept],
            roles=[self.roles[place] for place in kept],
            dead_letters=[*self.dead_letters, *refused],
        )


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """How much is in work at a time."""

    chunks_in_work: int
    decode_threads: int
    fetch_threads: int
    batch_size: int
    requests_in_flight: int


class Flow:
    """
    The chain of one worker, and the pools its stages use.

    Decoding and encoding of a chunk are handed to the pools at once and waited for by the next stage, so a pool is
    never idle while an earlier chunk's last batch is out. References have a pool of their own: what waits for someone
    else's server holds no thread that decodes.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        encoder: ImageEncoder,
        in_force: Callable[[], ActiveJudges],
        sink: Sink,
        gate: DeadLetterBreaker,
        audit: AuditSampler,
        limits: FlowLimits,
        chunk_size: ChunkSize,
        backoff: Backoff,
        metrics: Metrics,
    ) -> None:
        self.ledger = OffsetLedger()
        self.progress = Progress()
        self.chunk_size = chunk_size
        self.aborted = False
        self.last_abort = ""
        self._decoder = decoder
        self._encoder = encoder
        self._in_force = in_force
        self._sink = sink
        self._gate = gate
        self._audit = audit
        self._limits = limits
        self._metrics = metrics
        self._decode_pool = ThreadPoolExecutor(limits.decode_threads, "decode")
        self._fetch_pool = ThreadPoolExecutor(limits.fetch_threads, "fetch")
        self._encode_pool = ThreadPoolExecutor(limits.requests_in_flight, "encode")
        stages = [Stage("encode", self._encode), Stage("judge", self._judge), Stage("commit", self._commit)]
        self.chain = StageChain(
            stages,
            capacity=limits.chunks_in_work,
            backoff=backoff,
            on_retry=lambda fault: metrics.retries.labels(fault.removesuffix("Fault").lower()).inc(),
        )

    def offer(self, polled: Chunk) -> None:
        """Start work on a chunk."""
        log.debug("chunk polled", spans=spans_of(polled), records=len(polled.records))
        self._metrics.records.inc(len(polled.records))
        self._metrics.chunk_records.observe(len(polled.records))
        held: list[Record] = []
        referred: list[Record] = []
        for record in polled.records:
            (referred if refers(record) else held).append(record)
        size = min(DECODE_SLICE, max(1, len(held) // self._limits.decode_threads))
        slices = [self._decode_pool.submit(self._decode, self.chain.epoch, part) for part in batched(held, size)]
        slices += [self._fetch_pool.submit(self._decode, self.chain.epoch, [record]) for record in referred]
        self.chain.offer(_Decoding(polled, slices))

    def close(self) -> None:
        """Stop everything; what is in work is dropped."""
        self.chain.close()
        for pool in (self._decode_pool, self._fetch_pool, self._encode_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _encode(self, decoding: _Decoding) -> _Encoding | None:
        with self._metrics.stage_seconds.labels("decode").time():
            found = {origin: outcome for part in decoding.slices for origin, outcome in part.result()}
            outcomes = [found[record.origin] for record in decoding.polled.records]
        if None in outcomes:
            return None
        images = [outcome for outcome in outcomes if isinstance(outcome, DecodedImage)]
        dead_letters = [outcome for outcome in outcomes if isinstance(outcome, DeadLetter)]
        batches = [
            self._encode_pool.submit(self._encode_batch, self.chain.epoch, batch)
            for batch in batched(images, self._limits.batch_size)
        ]
        return _Encoding(decoding.polled, images, dead_letters, batches)

    def _decode(self, epoch: int, records: Sequence[Record]) -> _Outcomes:
        return [(each.origin, self.chain.retry_until_stale(epoch, partial(self._decoder, each))) for each in records]

    def _encode_batch(self, epoch: int, images: Sequence[DecodedImage]) -> NDArray[np.float32] | None:
        self._metrics.batch_images.observe(len(images))
        encode = partial(self._encoder.encode_images, stack_pixels(images))
        embeddings: NDArray[np.float32] | None = self.chain.retry_until_stale(epoch, encode)
        return embeddings

    def _judge(self, encoding: _Encoding) -> _Judged | None:
        with self._metrics.stage_seconds.labels("encode").time():
            batches = [batch.result() for batch in encoding.batches]
        embeddings = [batch for batch in batches if batch is not None]
        if len(embeddings) < len(batches):
            return None  # given up on, because the chunk is stale
        with self._metrics.stage_seconds.labels("judge").time():
            in_force = self._in_force()
            verdicts = in_force.judge_images(
                encoding.images,
                np.concatenate(embeddings) if embeddings else np.empty((0, 0), np.float32),
                datetime.now(UTC),
            )
            roles = [in_force.role(each) for each in verdicts]
            pairs = list(zip(verdicts, roles, strict=True))
            drawn = iter(self._audit.draw([each for each, role in pairs if role == CURRENT]))
            audited = [next(drawn) if role == CURRENT else each for each, role in pairs]
        return _Judged(encoding.polled, audited, roles, encoding.dead_letters)

    def _commit(self, judged: _Judged) -> None:
        polled, records = judged.polled, len(judged.polled.records)
        _log_letters(judged.dead_letters)
        self._gate.check(records, len(judged.dead_letters))
        started = time.monotonic()
        try:
            self.ledger.check(polled.spans)
            refused = self._sink.emit(polled, judged.verdicts, judged.dead_letters)
            _log_letters(refused)
        except CommitAborted as aborted:
            self._note_abort(polled, aborted)
            return
        self.ledger.advance(polled.spans)
        self.progress.committed()
        self.chunk_size.widen()
        self.last_abort = ""
        log.debug("chunk committed", spans=spans_of(polled), records=records)
        judged = judged.without(refused)
        self._gate.note(records, len(judged.dead_letters))
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.stage_seconds.labels("commit").observe(time.monotonic() - started)
        self._count(judged)

    def _note_abort(self, polled: Chunk, aborted: CommitAborted) -> None:
        records = len(polled.records)
        if isinstance(aborted, CommitOverdue):
            self.chunk_size.halve(records, sum(record.size_bytes for record in polled.records))
        self.aborted, self.last_abort = True, str(aborted)
        self.chain.invalidate()
        self._metrics.commits_aborted.labels(type(aborted.__cause__ or aborted).__name__).inc()
        log.warning("chunk not committed, going back to what is", cause=str(aborted), records=records)

    def _count(self, judged: _Judged) -> None:
        metrics, now = self._metrics, datetime.now(UTC)
        for letter in judged.dead_letters:
            metrics.dead_letters.labels(letter.reason.value).inc()
        for verdict in judged.verdicts:
            if verdict.image.event.time is not None:
                metrics.latency_seconds.observe(max(0.0, (now - verdict.image.event.time).total_seconds()))
        for role in (CURRENT, CANARY):
            pairs = zip(judged.verdicts, judged.roles, strict=True)
            if verdicts := [verdict for verdict, made_by in pairs if made_by == role]:
                self._count_policies(role, verdicts)

    def _count_policies(self, role: str, verdicts: Sequence[Verdict]) -> None:
        """Count what each policy said in verdicts by one policy set."""
        self._metrics.verdicts.labels(role).inc(len(verdicts))
        scores = np.stack([verdict.scores for verdict in verdicts])
        in_scope = np.stack([verdict.in_scope for verdict in verdicts])
        flags = np.stack([verdict.flagged for verdict in verdicts]).sum(axis=0)
        today = verdicts[-1].time.date()
        for place, policy in enumerate(verdicts[0].policy_set.policies):
            if role == CURRENT:
                self._metrics.scores.observe(policy.id, scores[in_scope[:, place], place])
            if flags[place]:
                mode = Mode.SHADOW if policy.expired(today) else policy.mode
                self._metrics.flags.labels(policy.id, mode.value, role).inc(int(flags[place]))


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
