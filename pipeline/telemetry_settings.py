"""Settings of metrics and traces."""

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class TelemetrySettings(BaseSettings):
    """The part of `Settings` that limits the metrics of a worker and directs its traces."""

    metrics_policies: int = Field(
        200,
        gt=0,
        description="Maximum number of policies with series of their own in `/metrics`; later ones count as `other`.",
    )
    drift_window_s: float = Field(
        3600.0, gt=0, description="Length of a window of scores and embeddings; the last one to two are compared."
    )
    drift_reference_s: float = Field(
        7 * 86_400.0, gt=0, description="Longest time before these windows that they are compared with."
    )
    traces_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of chunks that are traced, 0 to 1; 0 switches traces off. Needs the extra `tracing`.",
    )
    traces_endpoint: str | None = Field(
        None,
        description="Address to which traces are sent, OTLP over HTTP, for example `http://collector:4318/v1/traces`.",
    )

    @field_validator("traces_endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        """Refuse credentials too: they would be shown wherever settings are."""
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError(
                "expected an `http:` or `https:` address without credentials, "
                "for example `http://collector:4318/v1/traces`"
            )
        return value


_ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@]*)?")
