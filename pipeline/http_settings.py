"""Settings of the address at which a worker serves health and metrics."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class HttpSettings(BaseSettings):
    """Settings of the HTTP port; a part of `Settings` that is valid even when other settings are not."""

    model_config = SettingsConfigDict(env_prefix="WATCHWORD_", frozen=True)

    http_host: str = Field("127.0.0.1", description="Address on which `/metrics`, `/healthz` and `/readyz` are served.")
    http_port: int = Field(
        9464,
        ge=0,
        le=65535,
        description="Port on which `/metrics`, `/healthz` and `/readyz` are served; 0 takes a free one.",
    )
    http_allowed_hosts: tuple[str, ...] = Field(
        (), description="Further host names that HTTP requests may name in `Host`, as a JSON list."
    )
