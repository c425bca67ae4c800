"""Every setting, once. The environment is read here and nowhere else."""

import difflib
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from pipeline.errors import UsageError
from pipeline.events.images import ImageLimits

PREFIX = "WATCHWORD_"

# A dead letter carries its record whole, with headers and a reason around it.
ENVELOPE_BYTES = 64 << 10

# A policy set of thousands of prompts, whole.
POLICY_SET_BYTES = 8 << 20

BUNDLED_MODEL = Path(__file__).parent / "bundles" / "caltech-small"


class Settings(BaseSettings):
    """What a worker and its tools can be told, each by an environment variable `WATCHWORD_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # Kafka
    bootstrap_servers: str = Field("localhost:9092", description="Kafka brokers, `host:port` with commas between.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    sasl_mechanism: str | None = Field(None, description="SASL mechanism, such as `SCRAM-SHA-512`.")
    sasl_username: str | None = Field(None, description="SASL user name.")
    sasl_password: SecretStr | None = Field(None, description="SASL password; masked wherever settings are shown.")
    ssl_cafile: Path | None = Field(None, description="Certificate authority of the brokers.")
    group_id: str = Field("watchword", description="Consumer group; workers of one group share the partitions.")
    instance_id: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="Unique to a worker and stable across its restarts: gives `transactional.id` and "
        "`group.instance.id`. The host's name when not set; two workers on a host need one each.",
    )
    topic_images: str = Field("images", description="Topic the images come in by.")
    topic_flags: str = Field("moderation.flags", description="Topic of flag events.")
    topic_verdicts: str = Field("moderation.verdicts", description="Topic of verdicts, one an image.")
    topic_embeddings: str = Field("moderation.embeddings", description="Topic of embeddings, one an image.")
    topic_dead_letters: str = Field("moderation.dead-letters", description="Topic of records that cannot be judged.")
    session_timeout_s: float = Field(10.0, gt=0, description="A worker not heard of for so long loses its partitions.")
    transaction_timeout_s: float = Field(10.0, gt=0, description="The broker aborts a transaction open for so long.")
    commit_timeout_s: float = Field(
        15.0, ge=1, description="A commit without an answer for so long has an unknown outcome: start afresh."
    )
    # Flow
    chunk_max_records: int = Field(256, gt=0, description="At most so many records in a chunk.")
    chunk_max_bytes: int = Field(32 << 20, gt=0, description="At most so many bytes of records in a chunk.")
    chunks_in_work: int = Field(3, gt=0, description="At most so many chunks between poll and commit.")
    decode_threads: int = Field(2, gt=0, description="Threads that decode images.")
    drain_timeout_s: float = Field(20.0, gt=0, description="On SIGTERM, finish what is in work for at most so long.")
    retry_backoff_s: float = Field(0.2, gt=0, description="First pause before a failed dependency is tried again.")
    retry_backoff_max_s: float = Field(5.0, gt=0, description="Longest such pause.")
    # Encoder
    model: Path = Field(BUNDLED_MODEL, description="Model bundle; the shipped one when not set.")
    triton_url: str = Field("localhost:8001", description="Triton's gRPC address.")
    triton_shared_memory: Literal["auto", "on", "off"] = Field(
        "auto", description="Hand images over in shared memory: `auto` does when Triton is on this host."
    )
    triton_timeout_s: float = Field(10.0, gt=0, description="Deadline of one request to Triton.")
    batch_size: int = Field(32, gt=0, description="Images in one request to Triton.")
    requests_in_flight: int = Field(2, gt=0, description="Requests to Triton at a time.")
    # Policies
    policy_source: Literal["folder", "topic"] = Field(
        "folder", description="Where the worker takes policies from: `folder`, or what `policies publish` put in force."
    )
    policies: Path = Field(Path("policies"), description="Folder of policy files.")
    topic_decisions: str = Field("moderation.decisions", description="Topic of people's decisions, compacted.")
    topic_policies: str = Field("moderation.policies", description="Topic of published policy sets, compacted.")
    policy_interval_s: float = Field(2.0, gt=0, description="How often the worker looks for another policy set.")
    text_cache: Path | None = Field(
        None, description="File that keeps prompts' embeddings between starts, made when missing."
    )
    # Images
    max_image_bytes: int = Field(10 << 20, gt=0, description="Larger images are dead-lettered `too_large`.")
    max_image_pixels: int = Field(50_000_000, gt=0, description="More pixels are dead-lettered `too_many_pixels`.")
    max_image_dimension: int = Field(
        20_000,
        gt=0,
        description="Images with a longer side than this, in pixels, are dead-lettered `too_many_pixels`.",
    )
    decode_memory_bytes: int = Field(
        290 << 20,
        ge=64 << 20,
        description="Memory that decoding one image may take; images that need more are dead-lettered `too_costly`.",
    )
    decode_cpu_s: float = Field(
        0.9, gt=0, description="CPU seconds that decoding one image may take, else it is dead-lettered `too_costly`."
    )
    # References
    file_roots: tuple[Path, ...] = Field((), description="Folders `file:` references may point into, as a JSON list.")
    http_references: bool = Field(default=True, description="Whether `http:` and `https:` references are fetched.")
    fetch_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Deadline of one reference, from name look-up to last byte, over all its tries and redirects.",
    )
    fetch_tries: int = Field(3, gt=0, description="Tries before a reference is dead-lettered `fetch_failed`.")
    fetch_threads: int = Field(16, gt=0, description="References fetched at a time.")
    fetch_ports: tuple[int, ...] = Field((80, 443), description="Ports that references may name, as a JSON list.")
    fetch_redirects: int = Field(3, ge=0, description="Redirects followed, each checked like the first address.")
    fetch_allow_loopback: bool = Field(default=False, description="For tests only: allow references to this host.")
    # Dead letters
    dead_letter_share: float = Field(
        0.5, gt=0, le=1, description="The worker stops before it dead-letters more than this share of a window."
    )
    dead_letter_window_s: float = Field(60.0, gt=0, description="Length of that window.")
    dead_letter_minimum: int = Field(50, ge=0, description="Fewer dead letters in the window never stop the worker.")
    allow_dead_letters: bool = Field(default=False, description="Override: dead-letter any share. Unset it when done.")
    # Outputs
    output_compression: Literal["none", "gzip", "lz4", "zstd"] = Field(
        "lz4",
        description="Compression of outputs. Every Kafka client reads `none` and `gzip`; `lz4` takes the least CPU.",
    )
    # Archive
    access_log: Path | None = Field(
        None, description="File to which every look at what a restricted policy says is appended, beside the log."
    )
    archive: str = Field("archive", description="Where embeddings are kept: a folder, or an address such as `s3://…`.")
    archive_options: dict[str, str] = Field(
        {}, description="For object storage, as JSON: `endpoint`, `region`, `access_key_id`, `secret_access_key` …"
    )
    archive_thumbnails: int = Field(
        0, ge=0, le=256, description="Side of the thumbnails that workers keep with embeddings, in pixels; 0 for none."
    )
    archive_batch_rows: int = Field(20_000, gt=0, description="Embeddings stored at a time, at the most.")
    archive_flush_s: float = Field(10.0, gt=0, description="An embedding waits no longer than that to be stored.")
    archive_compact_every: int = Field(100, gt=0, description="Small files are joined after so many writes.")
    # Operation
    http_host: str = Field("127.0.0.1", description="Where `/metrics`, `/healthz` and `/readyz` listen.")
    http_port: int = Field(9464, ge=0, le=65535, description="Their port; 0 takes a free one.")
    http_allowed_hosts: tuple[str, ...] = Field(
        (), description="Further names of this host that requests to it may carry, as a JSON list."
    )
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: JSON when not on a terminal.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @property
    def image_limits(self) -> ImageLimits:
        """The limits of one image."""
        return ImageLimits(
            self.max_image_bytes,
            self.max_image_pixels,
            self.max_image_dimension,
            self.decode_memory_bytes,
            self.decode_cpu_s,
        )

    @property
    def max_record_bytes(self) -> int:
        """What topics and the producer must admit: an image at its limit in a dead letter's envelope."""
        return self.max_image_bytes + ENVELOPE_BYTES

    def shown(self) -> dict[str, object]:
        """Return every setting as it is in force, secrets masked, for the log's first line."""
        shown = self.model_dump(mode="json")
        # Keys of object storage are among them, under names of their own.
        shown["archive_options"] = sorted(self.archive_options)
        return shown


class StackSettings(BaseSettings):
    """What the local stack can be told, each by an environment variable `WATCHWORD_STACK_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}STACK_", frozen=True, extra="forbid")

    parts: Path = Field(Path(".watchword/parts"), description="Where the broker's jars and Triton's environment are.")
    state: Path = Field(Path(".watchword/stack"), description="Where data, logs and process ids are.")
    kafka_port: int = Field(9092, gt=0, le=65535, description="The broker's port.")
    controller_port: int = Field(9093, gt=0, le=65535, description="The broker's controller port.")
    triton_grpc_port: int = Field(8001, gt=0, le=65535, description="Triton's gRPC port.")
    triton_http_port: int = Field(8000, gt=0, le=65535, description="Triton's HTTP port.")
    triton_metrics_port: int = Field(8002, gt=0, le=65535, description="Triton's metrics port.")
    triton_models: Path | None = Field(None, description="What Triton serves; the shipped models if unset.")
    heap_mib: int = Field(512, ge=128, description="The broker's heap limit.")
    ready_timeout_s: float = Field(90.0, gt=0, description="A part not ready after so long is an error.")
    python: Path = Field(Path(sys.executable), description="A Python 3.11, for Triton's own environment.")


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(kind: type[SettingsT]) -> SettingsT:
    """Read the environment. Raises `UsageError` that names each variable at fault, unknown ones among them."""
    prefix = kind.model_config["env_prefix"]
    lines = list(_unknown_variables())
    try:
        settings = kind()
    except SettingsError as error:
        lines.append(f"{error}: {error.__cause__}")
    except ValidationError as error:
        lines += [f"{prefix}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
    if lines:
        raise UsageError("settings: " + "; ".join(lines))
    return settings


def logging_asked() -> tuple[str, str]:
    """Return the log's format and level as far as they are valid: they must be known before any setting can fail."""
    asked = []
    for name in ("log_format", "log_level"):
        field = Settings.model_fields[name]
        value = os.environ.get(f"{PREFIX}{name.upper()}", "")
        asked.append(value if value in get_args(field.annotation) else str(field.default))
    return asked[0], asked[1]


def _unknown_variables() -> Iterator[str]:
    known = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in _KINDS for name in kind.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _SERVICE_LINK.search(name):
            near = difflib.get_close_matches(name.upper(), known, n=1)
            yield f"{name} is no setting" + (f", did you mean {near[0]}?" if near else "; docs/settings.md lists them")


# Kubernetes sets these for every service of a namespace, one called `watchword` among them.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")

_KINDS: tuple[type[BaseSettings], ...] = (Settings, StackSettings)
