"""Threads of a worker: only the loop uses the source."""

import dataclasses
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.events.chunks import Chunk, Span
from pipeline.events.images import Decoded, Picture
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Origin, Record
from pipeline.ingest.decoder import Decoder
from pipeline.ingest.fetch import Fetcher, FetchRules
from pipeline.judge.score import Judge
from pipeline.policies.compile import compose
from pipeline.policies.load import load_policy_set
from pipeline.retry import Backoff
from pipeline.stream.active_set import ActiveJudges
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.drift import DriftMonitor
from pipeline.stream.flow import Flow, FlowLimits
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.progress import ChunkSize
from pipeline.stream.worker import Worker
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels
from tests.support.waiting import wait_until

RECORDS = 20


class LoopSource:
    """A topic of one partition that refuses every thread but the first that reads it."""

    def __init__(self) -> None:
        self.position, self.calls = 0, set[str]()
        self._owner: int | None = None
        self._fresh = True

    def _touch(self, name: str) -> None:
        self._owner = self._owner or threading.get_ident()
        assert threading.get_ident() == self._owner, f"`{name}` was called by {threading.current_thread().name}"
        self.calls.add(name)

    @property
    def needs_rewind(self) -> bool:
        self._touch("needs_rewind")
        return self._fresh

    def request_rewind(self) -> None:
        self._touch("request_rewind")

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None:
        self._touch("poll")
        if self.position >= RECORDS:
            return None
        start, self.position = self.position, self.position + 5
        records = tuple(
            Record(Origin("images", 0, n), None, b"x", (("ce_id", b"%d" % n), ("ce_source", b"shop")))
            for n in range(start, self.position)
        )
        return Chunk(records, (Span(0, start, self.position),), None)

    def keep_alive(self, timeout_s: float) -> None:
        self._touch("keep_alive")

    def rewind(self, timeout_s: float) -> dict[int, int] | None:
        self._touch("rewind")
        self._fresh = False
        return {0: 0}

    def reached(self) -> dict[int, int]:
        self._touch("reached")
        return {0: self.position}

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"a source has no `{name}` that anybody may ask for")


class Collector:
    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def recover(self) -> None: ...

    def emit(
        self, chunk: Chunk, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]
    ) -> Sequence[DeadLetter]:
        self.verdicts += verdicts
        return ()


class FixedEncoder:
    model_digest = "m" * 64

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = np.random.default_rng(1).normal(size=(len(images), self.dimension))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def judge_with_audits(policies: Path, encoder: LocalEncoder) -> Judge:
    shipped = load_policy_set(policies)
    audited = [dataclasses.replace(each, audit_per_day=10**9, threshold=50.0) for each in shipped.policies[:2]]
    return Judge(build_prompt_bank(compose(audited, shipped.background), encoder))


def test_only_the_loop_reads_the_source_while_audits_sample_images(policies: Path, encoder: LocalEncoder) -> None:
    """The sampler knows the worker's share of the partitions; the judge's thread never asks the source."""
    judge, source, sink, metrics = judge_with_audits(policies, encoder), LoopSource(), Collector(), Metrics()
    sampler, shares = AuditSampler(time.monotonic), list[float]()
    set_share = sampler.set_share

    def note_share(share: float) -> None:
        shares.append(share)
        set_share(share)

    sampler.set_share = note_share  # type: ignore[method-assign]
    picture = Picture(np.zeros((4, 4, 3), np.uint8), "JPEG", 4, 4, animated=False)
    backoff = Backoff(0.01, 0.02)
    flow = Flow(
        decoder=Decoder(lambda _: Decoded(picture, None), Fetcher(FetchRules())),
        encoder=FixedEncoder(judge.bank.vectors.shape[1]),
        judges=lambda: ActiveJudges(judge),
        sink=sink,
        breaker=DeadLetterBreaker(share=1, window_s=60, minimum=10, override=True, clock=time.monotonic),
        audit=sampler,
        limits=FlowLimits(2, 1, 1, 8, 1),
        chunk_size=ChunkSize(100, 1 << 20),
        backoff=backoff,
        metrics=metrics,
        outcomes=OutcomeMetrics(
            metrics, PolicyLabels(10, metrics.policies_unlabelled.set), DriftMonitor(60, 600, time.monotonic)
        ),
    )
    worker = Worker(
        source,
        sink,
        flow,
        ends=lambda: {0: RECORDS, 1: 0, 2: 0, 3: 0},
        rewind_timeout_s=1,
        drain_timeout_s=5,
        chunk_timeout_s=60,
        backoff=backoff,
        metrics=metrics,
    )
    loop = threading.Thread(target=worker.run, name="loop")
    loop.start()
    wait_until(lambda: len(sink.verdicts) == RECORDS, 20, "every record's verdict")
    wait_until(lambda: bool(shares), 10, "the share of this worker")
    worker.stop()
    loop.join(10)
    flow.close()
    assert {"poll", "rewind", "needs_rewind"} <= source.calls
    assert [verdict.audit for verdict in sink.verdicts] == [1.0] * RECORDS
    assert shares[-1] == 0.25, "one partition of four"
