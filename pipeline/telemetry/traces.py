"""Traces of chunks with OpenTelemetry: one span a chunk, linked to the traces of its records."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from pipeline.errors import WatchwordError
from pipeline.events.chunks import Chunk
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.trace_context import traceparent_of

log = structlog.get_logger()

# Deadline of one batch of spans, with its retries. Nothing but the sending thread waits for it.
SEND_S = 3.0
# A worker has a second to close everything after its drain.
CLOSE_S = 0.5
SEND_EVERY_S = 2.0
# Spans of 400 chunks; while they wait, later ones push the oldest out.
QUEUE_SPANS = 2000
BATCH_SPANS = 200
REPORT_S = 60.0


def exporter_to(endpoint: str) -> SpanExporter:
    """Return the exporter to a collector; the SDK reads headers and certificates from its own OTEL_ variables."""
    return OTLPSpanExporter(endpoint=endpoint, timeout=SEND_S)


class Traces:
    """
    Traces a share of the chunks, 0 to 1, chosen at random. A `ChunkTracer` of `pipeline.stream.chunk_trace`.

    A thread sends finished spans to `exporter`. When it cannot, or not fast enough, spans are lost and one log event
    a minute says so. A span has at most `max_links` links, one for each trace context among the records.
    """

    def __init__(
        self, exporter: SpanExporter, *, ratio: float, max_links: int, instance_id: str, model_digest: str
    ) -> None:
        _report_losses()
        resource = {"service.name": "watchword", "service.version": version("watchword")}
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(ratio),
            resource=Resource.create({**resource, "service.instance.id": instance_id}),
            span_limits=SpanLimits(max_links=max_links),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=SEND_EVERY_S * 1000,
                max_export_batch_size=BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("watchword")
        self._model_digest = model_digest

    def begin(self, chunk: Chunk) -> "SampledChunk | None":
        """Begin the trace of a chunk that was polled; None if it is not sampled."""
        span = self._tracer.start_span("chunk", Context(), SpanKind.CONSUMER, start_time=time.time_ns())
        if not span.is_recording():
            return None
        span.set_attributes(
            {
                "messaging.system": "kafka",
                "watchword.records": len(chunk.records),
                "watchword.partitions": [f"{each.partition}:{each.start}-{each.end}" for each in chunk.spans],
                "watchword.model": self._model_digest,
            }
        )
        for traceparent in dict.fromkeys(map(traceparent_of, chunk.records)):
            if traceparent is not None:
                span.add_link(_context_of(traceparent))
        return SampledChunk(self._tracer, span)

    def close(self) -> None:
        """Send the spans that are finished, for at most `CLOSE_S`; later ones are lost."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class SampledChunk:
    """The trace of one chunk. The spans of its stages are made at its end, from the times noted until then."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._ended = False
        self._parts: list[tuple[str, int, int]] = []
        self._faults: dict[str, str] = {}
        # The clock of a day may be set while a chunk is in work, so durations are those of the monotonic clock.
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of a stage."""
        started = self._now_ns()
        try:
            yield
        finally:
            self._parts.append((name, started, self._now_ns()))

    def fault(self, stage: str, fault: WatchwordError) -> None:
        """Note a fault during a stage; the last one of a stage is shown."""
        self._faults[stage] = f"{type(fault).__name__}: {fault}"

    def end(self, cause: str = "", verdicts: Sequence[Verdict] = (), dead_letters: Sequence[DeadLetter] = ()) -> None:
        """End the trace. Later calls have no effect."""
        if self._ended:
            return
        self._ended = True
        self._end_stages()
        self._span.set_attributes(
            {
                "watchword.verdicts": len(verdicts),
                "watchword.dead_letters": len(dead_letters),
                "watchword.policy_sets": list(dict.fromkeys(each.policy_set.digest for each in verdicts)),
            }
        )
        if cause:
            self._span.set_status(Status(StatusCode.ERROR, cause))
        self._span.end(self._now_ns())

    def _end_stages(self) -> None:
        inside = set_span_in_context(self._span, Context())
        parts = list(self._parts)
        for name in dict.fromkeys(name for name, _, _ in parts):
            times = [(start, end) for part, start, end in parts if part == name]
            span = self._tracer.start_span(name, inside, start_time=min(start for start, _ in times))
            if fault := self._faults.get(name):
                span.set_status(Status(StatusCode.ERROR, fault))
            span.end(max(end for _, end in times))

    def _now_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns


def _context_of(traceparent: str) -> SpanContext:
    """Return the span context of a valid W3C `traceparent`."""
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


class LossReport(logging.Handler):
    """
    Turns the SDK's own log into our event `traces_not_sent`, at most one in `REPORT_S` seconds.

    A warning of the exporter says that it tries again; the last one goes along with the error that follows.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._silent_until = 0.0
        self._retried = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a loss, unless another one was logged within the last minute."""
        if record.levelno < logging.ERROR and record.name.startswith("opentelemetry.exporter"):
            self._retried = record.getMessage()
            return
        retried, self._retried = self._retried, ""
        if self._clock() >= self._silent_until:
            self._silent_until = self._clock() + REPORT_S
            log.warning("traces_not_sent", problem=record.getMessage(), retried=retried)


def _report_losses() -> None:
    """Hear the SDK's log in place of every other handler."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [LossReport()]
    logger.propagate = False
