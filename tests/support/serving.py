"""A separate, real Triton server for one model repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.encode.triton import TritonEncoder
from pipeline.stack.local import down, up
from pipeline.stack.triton import TritonPart
from pipeline.stack_settings import StackSettings
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY


@contextmanager
def served(
    repository: Path, bundle: Bundle, state: Path, *, batch_size: int, shared_memory: str
) -> Iterator[TritonEncoder]:
    """Serve `repository` while the context lasts, and yield an encoder for the bundle that its models are of."""
    grpc, http, metrics = free_ports(3)
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=state,
        triton_models=repository,
        triton_grpc_port=grpc,
        triton_http_port=http,
        triton_metrics_port=metrics,
    )
    part = TritonPart(settings)
    up([part], lambda _: None, settings.ready_timeout_s)
    try:
        encoder = TritonEncoder(
            bundle,
            part.address,
            timeout_s=60,
            batch_size=batch_size,
            slots=1,
            shared_memory=shared_memory,
            on_error=lambda _: None,
        )
        encoder.check()
        yield encoder
        encoder.close()
    finally:
        down([part], lambda _: None)
