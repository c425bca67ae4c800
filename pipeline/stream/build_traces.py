"""The tracer of a worker, built from settings."""

from pipeline.errors import UsageError
from pipeline.extras import models_extra
from pipeline.settings import Settings
from pipeline.stream.chunk_trace import NO_TRACER, ChunkTracer


def build_tracer(settings: Settings, model_digest: str) -> ChunkTracer:
    """Return the tracer that is set. Raises `UsageError` when it has no address, or the extra `tracing` is missing."""
    if not settings.traces_ratio:
        return NO_TRACER
    if settings.traces_endpoint is None:
        raise UsageError(
            f"WATCHWORD_TRACES_RATIO is {settings.traces_ratio}, but no address is set: set WATCHWORD_TRACES_ENDPOINT, "
            "for example to http://collector:4318/v1/traces, or unset the ratio"
        )
    with models_extra("tracing"):
        from pipeline.telemetry.traces import Traces, exporter_to
    return Traces(
        exporter_to(settings.traces_endpoint),
        ratio=settings.traces_ratio,
        max_links=settings.chunk_max_records,
        instance_id=settings.instance_id,
        model_digest=model_digest,
    )
