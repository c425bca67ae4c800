"""Settings of the local stack, apart from those of a worker."""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "WATCHWORD_"


class StackSettings(BaseSettings):
    """Settings of the local stack, each an environment variable `WATCHWORD_STACK_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}STACK_", frozen=True, extra="forbid")

    parts: Path = Field(
        Path(".watchword/parts"), description="Folder of the broker's jars and of Triton's environment."
    )
    state: Path = Field(Path(".watchword/stack"), description="Folder of data, logs and process ids.")
    kafka_port: int = Field(9092, gt=0, le=65535, description="The broker's port.")
    controller_port: int = Field(9093, gt=0, le=65535, description="The broker's controller port.")
    triton_grpc_port: int = Field(8001, gt=0, le=65535, description="Triton's gRPC port.")
    triton_http_port: int = Field(8000, gt=0, le=65535, description="Triton's HTTP port.")
    triton_metrics_port: int = Field(8002, gt=0, le=65535, description="Triton's metrics port.")
    triton_models: Path | None = Field(
        None, description="Model repository that Triton serves; the shipped one when not set."
    )
    heap_mib: int = Field(512, ge=128, description="Heap limit of the broker, in MiB.")
    ready_timeout_s: float = Field(
        90.0, gt=0, description="Deadline for a part of the stack to be ready after its start."
    )
    python: Path = Field(Path(sys.executable), description="Python 3.11 interpreter for Triton's own environment.")
