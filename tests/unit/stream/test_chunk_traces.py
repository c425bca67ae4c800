"""Traces of chunks: a span a chunk, linked to its records' traces; the stages inside it; faults as errors."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import CommitAborted, DeadLetterReason, EncoderFault, ProbeFault, RecordFault, UsageError
from pipeline.events.chunks import Chunk, Span
from pipeline.events.images import Decoded, Picture
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Origin, Record
from pipeline.ingest.decoder import Decoder
from pipeline.ingest.fetch import Fetcher, FetchRules
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.retry import Backoff
from pipeline.settings import Settings, load_settings
from pipeline.stream.active_set import ActiveJudges
from pipeline.stream.audit_sampler import AuditSampler
from pipeline.stream.build_traces import build_tracer
from pipeline.stream.chunk_trace import NO_TRACER
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.drift import DriftMonitor
from pipeline.stream.flow import Flow, FlowLimits
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.progress import ChunkSize
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels
from pipeline.telemetry.traces import LossReport, Traces

RECORDS = 20
SECRET = "holiday-of-mrs-miller"
PARENTS = [f"00-{trace:032x}-{trace + 7:016x}-01" for trace in range(1, 4)]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def judge(policies: Path, encoder: LocalEncoder) -> Judge:
    return Judge(build_prompt_bank(load_policy_set(policies), encoder))


def chunk_from(start: int, records: int = RECORDS) -> Chunk:
    """Records of one partition: three trace contexts, one invalid one, and records without; the first is broken."""
    headers = [(("traceparent", parent.encode()),) for parent in PARENTS] + [(("traceparent", b"00-zz"),), ()]
    return Chunk(
        tuple(
            Record(
                Origin("images", 3, n),
                None,
                b"broken" if n == start else b"image",
                (("ce_id", f"{SECRET}-{n}".encode()), ("ce_source", b"shop"), *headers[n % len(headers)]),
            )
            for n in range(start, start + records)
        ),
        (Span(3, start, start + records),),
        None,
    )


def decode(data: bytes) -> Decoded:
    if data == b"broken":
        raise RecordFault(DeadLetterReason.CORRUPT_IMAGE, f"{SECRET} is broken")
    return Decoded(Picture(np.zeros((4, 4, 3), np.uint8), "JPEG", 4, 4, animated=False), None)


class FixedEncoder:
    """Answers with random embeddings, after so many faults."""

    model_digest = "m" * 64

    def __init__(self, dimension: int, faults: int = 0) -> None:
        self._dimension, self._faults = dimension, faults
        self._lock = threading.Lock()

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._lock:
            if self._faults:
                self._faults -= 1
                raise EncoderFault("Triton `localhost:8001` did not answer")
        vectors = np.random.default_rng(1).normal(size=(len(images), self._dimension))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class Sink:
    """Commits chunks; the first commit waits until `gate` is open, and then does `first`."""

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        self.gate, self._first = threading.Event(), first

    def recover(self) -> None: ...

    def emit(
        self, chunk: Chunk, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]
    ) -> Sequence[DeadLetter]:
        assert self.gate.wait(10)
        self._first()
        return ()


def run_chunks(
    chunks: Sequence[Chunk],
    judge: Judge,
    exporter: SpanExporter,
    *,
    sink: Sink,
    ratio: float = 1.0,
    faults: int = 0,
    require_probes: Callable[[Flow], None] = lambda _: None,
) -> None:
    """Put chunks through the flow of a worker, and close its tracer."""
    metrics = Metrics()
    tracer = Traces(exporter, ratio=ratio, max_links=RECORDS, instance_id="worker-1", model_digest="m" * 64)
    flow = Flow(
        decoder=Decoder(decode, Fetcher(FetchRules())),
        encoder=FixedEncoder(judge.bank.vectors.shape[1], faults),
        judges=lambda: ActiveJudges(judge),
        sink=sink,
        breaker=DeadLetterBreaker(share=1, window_s=60, minimum=10, override=True, clock=time.monotonic),
        audit=AuditSampler(time.monotonic),
        limits=FlowLimits(3, 2, 1, 8, 2),
        chunk_size=ChunkSize(100, 1 << 20),
        backoff=Backoff(0.01, 0.02),
        metrics=metrics,
        outcomes=OutcomeMetrics(
            metrics, PolicyLabels(10, metrics.policies_unlabelled.set), DriftMonitor(60, 600, time.monotonic)
        ),
        require_probes=lambda: require_probes(flow),
        tracer=tracer,
    )
    flow.start()
    flow.restart({3: 0})
    for chunk in chunks:
        flow.offer(chunk)
    sink.gate.set()
    try:
        assert flow.wait_until_empty(20)
        flow.raise_failure()
    finally:
        flow.close()
        tracer.close()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def start_and_end(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time
    assert span.end_time
    return span.start_time, span.end_time


def test_a_chunk_is_a_span_linked_to_the_traces_of_its_records(judge: Judge, spans: InMemorySpanExporter) -> None:
    """Each trace context among the records is one link; invalid ones and records without one have none."""
    run_chunks([chunk_from(0)], judge, spans, sink=Sink())
    [chunk] = named(spans, "chunk")
    links = [f"00-{each.context.trace_id:032x}-{each.context.span_id:016x}-01" for each in chunk.links]
    assert links == PARENTS
    assert chunk.parent is None
    assert chunk.status.status_code is StatusCode.UNSET
    assert dict(chunk.attributes or {}) == {
        "messaging.system": "kafka",
        "watchword.records": RECORDS,
        "watchword.partitions": (f"3:0-{RECORDS}",),
        "watchword.model": "m" * 64,
        "watchword.verdicts": RECORDS - 1,
        "watchword.dead_letters": 1,
        "watchword.policy_sets": (judge.bank.policy_set.digest,),
    }
    assert chunk.resource.attributes["service.name"] == "watchword"
    assert chunk.resource.attributes["service.instance.id"] == "worker-1"


def test_the_stages_are_spans_inside_the_chunk_in_order(judge: Judge, spans: InMemorySpanExporter) -> None:
    run_chunks([chunk_from(0)], judge, spans, sink=Sink())
    [chunk] = named(spans, "chunk")
    stages = [span for span in spans.get_finished_spans() if span is not chunk]
    assert [span.name for span in stages] == ["decode", "encode", "judge", "commit"]
    times = [moment for span in stages for moment in start_and_end(span)]
    started, ended = start_and_end(chunk)
    assert [started, *times, ended] == sorted([started, *times, ended]), "no stage of a chunk overlaps the next"
    for span in stages:
        assert span.parent
        assert chunk.context
        assert span.parent.span_id == chunk.context.span_id
        assert span.parent.trace_id == chunk.context.trace_id


def test_a_trace_says_nothing_about_images(judge: Judge, spans: InMemorySpanExporter) -> None:
    """Ids and the reasons of dead letters stay in the topics and the log."""
    run_chunks([chunk_from(0)], judge, spans, sink=Sink())
    assert [span for span in spans.get_finished_spans() if SECRET in span.to_json()] == []


def test_an_aborted_commit_is_an_error_with_its_cause(judge: Judge, spans: InMemorySpanExporter) -> None:
    """The chunks behind it were dropped, and say so."""

    def abort() -> None:
        raise CommitAborted("the group has rebalanced")

    run_chunks([chunk_from(0), chunk_from(RECORDS)], judge, spans, sink=Sink(abort))
    aborted, dropped = named(spans, "chunk")
    assert aborted.status.status_code is dropped.status.status_code is StatusCode.ERROR
    assert aborted.status.description == "CommitAborted: the group has rebalanced"
    assert dropped.status.description == "dropped before its commit; the records are read again"
    [commit] = named(spans, "commit")
    assert commit.status.description == aborted.status.description


def test_a_fault_that_a_retry_mends_is_an_error_of_its_stage(judge: Judge, spans: InMemorySpanExporter) -> None:
    run_chunks([chunk_from(0)], judge, spans, sink=Sink(), faults=2)
    [encode], [chunk] = named(spans, "encode"), named(spans, "chunk")
    assert encode.status.status_code is StatusCode.ERROR
    assert encode.status.description == "EncoderFault: Triton `localhost:8001` did not answer"
    assert chunk.status.status_code is StatusCode.UNSET, "it was committed"


def test_a_chunk_that_is_dropped_at_a_fault_shows_the_fault(judge: Judge, spans: InMemorySpanExporter) -> None:
    def fail(flow: Flow) -> None:
        flow.invalidate()
        raise ProbeFault("a golden image came out wrong")

    run_chunks([chunk_from(0)], judge, spans, sink=Sink(), require_probes=fail)
    [judging], [chunk] = named(spans, "judge"), named(spans, "chunk")
    assert judging.status.description == "ProbeFault: a golden image came out wrong"
    assert chunk.status.status_code is StatusCode.ERROR
    assert named(spans, "commit") == []


def test_a_worker_that_must_stop_leaves_its_reason(judge: Judge, spans: InMemorySpanExporter) -> None:
    """An unexpected exception is named, and its text, which may come from a record, is not shown."""

    def fail() -> None:
        raise ValueError(SECRET)

    with pytest.raises(ValueError, match=SECRET):
        run_chunks([chunk_from(0)], judge, spans, sink=Sink(fail))
    assert [span.status.description for span in named(spans, "chunk")] == ["ValueError"]


def test_a_chunk_that_is_not_sampled_leaves_nothing(judge: Judge, spans: InMemorySpanExporter) -> None:
    run_chunks([chunk_from(0)], judge, spans, sink=Sink(), ratio=1e-12)
    assert spans.get_finished_spans() == ()


def test_without_traces_a_worker_imports_no_sdk() -> None:
    program = (
        "import sys; import pipeline.stream.run; from pipeline.settings import Settings; "
        "from pipeline.stream.build_traces import build_tracer; build_tracer(Settings(), ''); "
        "sys.exit([name for name in sys.modules if name.startswith('opentelemetry')] != [])"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.telemetry.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    settings = Settings(traces_ratio=0.1, traces_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(UsageError, match="install the extra `tracing`"):
        build_tracer(settings, "")


def test_a_ratio_without_an_address_is_refused() -> None:
    assert build_tracer(Settings(), "") is NO_TRACER
    with pytest.raises(UsageError, match="WATCHWORD_TRACES_ENDPOINT"):
        build_tracer(Settings(traces_ratio=0.1), "")


@pytest.mark.parametrize("address", ["collector:4318", "http://", "http://user:word@collector/v1/traces"])
def test_an_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with credentials too: settings are logged."""
    monkeypatch.setenv("WATCHWORD_TRACES_ENDPOINT", address)
    with pytest.raises(UsageError, match="WATCHWORD_TRACES_ENDPOINT: Value error, expected an `http:` or `https:`"):
        load_settings(Settings)


class SilentCollector(SpanExporter):
    """Takes spans and never answers."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.released.wait(30)
        return SpanExportResult.FAILURE


def test_a_silent_collector_delays_no_stop() -> None:
    """A worker has a second to close everything after its drain."""
    collector = SilentCollector()
    tracer = Traces(collector, ratio=1, max_links=10, instance_id="worker-1", model_digest="")
    trace = tracer.begin(chunk_from(0))
    assert trace
    trace.end()
    started = time.monotonic()
    tracer.close()
    assert collector.asked.is_set()
    assert time.monotonic() - started < 0.9
    collector.released.set()


def test_losses_are_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], list[dict[str, str]]()
    monkeypatch.setattr("pipeline.telemetry.traces.log.warning", lambda event, **fields: said.append(fields))
    report = LossReport(lambda: now[0])

    def hear(level: int, text: str) -> None:
        report.emit(logging.LogRecord("opentelemetry.exporter.http", level, "", 0, text, (), None))

    for _ in range(5):
        hear(logging.WARNING, "refused, retrying")
        hear(logging.ERROR, "gave up")
    assert said == [{"problem": "gave up", "retried": "refused, retrying"}]
    now[0] += 60
    hear(logging.ERROR, "not found")
    assert said[1:] == [{"problem": "not found", "retried": ""}]
