"""Every setting, once. The environment is read here and nowhere else."""

import difflib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from pipeline.connection_settings import ConnectionSettings
from pipeline.errors import UsageError
from pipeline.events.images import ImageLimits
from pipeline.http_settings import HttpSettings
from pipeline.stack_settings import PREFIX, StackSettings
from pipeline.telemetry_settings import TelemetrySettings
from pipeline.topic_settings import TopicSettings

# A dead letter contains its whole record, and headers with the reason.
ENVELOPE_BYTES = 64 << 10

# Enough for a whole policy set with thousands of prompts.
POLICY_SET_BYTES = 8 << 20

BUNDLED_MODEL = Path(__file__).parent / "bundles" / "caltech-small"


class Settings(TelemetrySettings, TopicSettings, HttpSettings, ConnectionSettings):
    """Settings of a worker and its tools, each an environment variable `WATCHWORD_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    # Kafka
    group_id: str = Field("watchword", description="Consumer group; workers of one group share the partitions.")
    instance_id: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="Id of this worker, unique and the same after a restart. `transactional.id` and "
        "`group.instance.id` are made from it. Two workers on one host need different ids.",
    )
    topic_images: str = Field("images", description="Input topic of images.")
    topic_flags: str = Field("moderation.flags", description="Topic of flag events.")
    topic_verdicts: str = Field("moderation.verdicts", description="Topic of verdicts, one for each image.")
    topic_embeddings: str = Field("moderation.embeddings", description="Topic of embeddings, one for each image.")
    topic_dead_letters: str = Field("moderation.dead-letters", description="Topic of records that cannot be judged.")
    topic_dead_letter_handling: str = Field(
        "moderation.dead-letter-handling", description="Topic of what was done with dead letters: requeued or dropped."
    )
    session_timeout_s: float = Field(
        10.0, gt=0, description="A worker without a heartbeat for this long loses its partitions."
    )
    transaction_timeout_s: float = Field(
        10.0, gt=0, description="The broker aborts a transaction that is open for this long."
    )
    commit_timeout_s: float = Field(
        15.0, ge=1, description="Deadline of a commit. After it, the worker rewinds to the committed offsets."
    )
    # Flow
    chunk_max_records: int = Field(256, gt=0, description="Maximum number of records in a chunk.")
    chunk_max_bytes: int = Field(32 << 20, gt=0, description="Maximum size of the records in a chunk, in bytes.")
    chunks_in_work: int = Field(
        3,
        gt=0,
        description="Maximum number of chunks being processed at once. Raise it for throughput, lower it for memory.",
    )
    decode_threads: int = Field(
        2, gt=0, description="Number of images decoded at the same time, each in a separate process."
    )
    drain_timeout_s: float = Field(20.0, gt=0, description="Deadline for finishing the chunks in flight after SIGTERM.")
    leave_on_stop: bool = Field(
        default=False,
        description="Whether a worker leaves its group after SIGTERM, so that others take its partitions over at once.",
    )
    retry_backoff_s: float = Field(
        0.2, gt=0, description="First pause between tries of a failed dependency; it doubles from try to try."
    )
    retry_backoff_max_s: float = Field(5.0, gt=0, description="Longest pause between tries of a failed dependency.")
    # Encoder
    model: Path = Field(BUNDLED_MODEL, description="Folder of the model bundle.")
    triton_url: str = Field(
        "localhost:8001",
        description="Triton's gRPC address, `host:port`; several with commas between. All addresses of a name share.",
    )
    triton_shared_memory: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether images go to Triton in shared memory; `auto`: when Triton is on this host."
    )
    triton_timeout_s: float = Field(10.0, gt=0, description="Deadline of one request to Triton.")
    batch_size: int = Field(32, gt=0, description="Maximum number of images in one request to Triton.")
    requests_in_flight: int = Field(2, gt=0, description="Maximum number of requests to Triton at the same time.")
    # Policies
    policy_source: Literal["folder", "topic"] = Field(
        "folder",
        description="Source of the worker's policies: a `folder`, or the `topic` that `policies publish` writes.",
    )
    policies: Path = Field(Path("policies"), description="Folder of policy files.")
    topic_decisions: str = Field("moderation.decisions", description="Topic of people's decisions about flags.")
    topic_policies: str = Field("moderation.policies", description="Control topic, to which policy sets are published.")
    policy_interval_s: float = Field(2.0, gt=0, description="Seconds between two checks for another policy set.")
    text_cache: Path | None = Field(
        None, description="File that keeps the embeddings of prompts between starts; it is created when missing."
    )
    # Images
    max_image_bytes: int = Field(
        10 << 20, gt=0, description="Images of more bytes than this are dead-lettered as `too_large`."
    )
    max_image_pixels: int = Field(
        50_000_000, gt=0, description="Images of more pixels than this are dead-lettered as `too_many_pixels`."
    )
    max_image_dimension: int = Field(
        20_000,
        gt=0,
        description="Images with a side longer than this (pixels) are dead-lettered as `too_many_pixels`.",
    )
    decode_memory_bytes: int = Field(
        290 << 20,
        ge=64 << 20,
        description="Images that need more memory than this for decoding (bytes) are dead-lettered as `too_costly`.",
    )
    decode_cpu_s: float = Field(
        0.9,
        gt=0,
        description="Images that need more CPU time than this for decoding are dead-lettered as `too_costly`.",
    )
    # Probes
    probe_interval_s: float = Field(
        120.0, gt=0, description="Seconds between two runs of the golden probes while they pass."
    )
    # References
    file_roots: tuple[Path, ...] = Field(
        (), description="Folders from which `file:` references may be read, as a JSON list."
    )
    http_references: bool = Field(default=True, description="Whether `http:` and `https:` references are fetched.")
    fetch_timeout_s: float = Field(
        10.0,
        gt=0,
        description="Deadline of one reference, from name look-up to last byte, including retries and redirects.",
    )
    fetch_tries: int = Field(
        3, gt=0, description="Number of tries before a reference is dead-lettered as `fetch_failed`."
    )
    fetch_threads: int = Field(16, gt=0, description="Maximum number of references fetched at the same time.")
    fetch_ports: tuple[int, ...] = Field((80, 443), description="Ports that references may name, as a JSON list.")
    fetch_redirects: int = Field(
        3, ge=0, description="Maximum number of redirects of a reference. Each is checked like the first address."
    )
    fetch_allow_loopback: bool = Field(default=False, description="For tests only: allow references to this host.")
    # Dead letters
    dead_letter_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The worker stops before dead letters exceed this share of the records of a time window.",
    )
    dead_letter_window_s: float = Field(
        60.0, gt=0, description="Length of the time window for the share of dead letters."
    )
    dead_letter_minimum: int = Field(
        50, ge=0, description="The worker never stops while the time window has fewer dead letters than this."
    )
    allow_dead_letters: bool = Field(
        default=False, description="Accept any share of dead letters. Unset it once the broken records are through."
    )
    # Outputs
    output_compression: Literal["none", "gzip", "lz4", "zstd"] = Field(
        "lz4",
        description="Compression of outputs. Every Kafka client reads `none` and `gzip`; `lz4` takes the least CPU.",
    )
    # Archive
    access_log: Path | None = Field(
        None,
        description="File to which each access to results of restricted policies, and each saving of dead letters, is "
        "appended.",
    )
    archive: str = Field("archive", description="Archive of embeddings: a folder, or an address such as `s3://…`.")
    archive_options: dict[str, str] = Field(
        {},
        description="Options of the archive's object storage, as JSON, for example `endpoint`, `region`, "
        "`access_key_id`.",
    )
    archive_thumbnails: int = Field(
        0,
        ge=0,
        le=256,
        description="Longer side of the thumbnails stored with embeddings, in pixels; 0 for no thumbnails.",
    )
    archive_batch_rows: int = Field(
        20_000, gt=0, description="Maximum number of embeddings in one write to the archive."
    )
    archive_flush_s: float = Field(
        10.0, gt=0, description="Longest time between an embedding's arrival and its write to the archive."
    )
    archive_compact_every: int = Field(
        100, gt=0, description="Number of writes after which the archive's small files are merged."
    )
    # Operation
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="Format of the log: `json`, `console`, or `auto`: JSON unless stderr is a terminal.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum level of the log.")

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
        """The size that topics and the producer must admit: an image at its limit in a dead letter's envelope."""
        return self.max_image_bytes + ENVELOPE_BYTES

    def shown(self) -> dict[str, object]:
        """Return the effective settings, secrets masked."""
        shown = self.model_dump(mode="json")
        # These options include keys of object storage, under any name.
        shown["archive_options"] = sorted(self.archive_options)
        return shown


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(kind: type[SettingsT]) -> SettingsT:
    """Read the environment. Raises `UsageError`, which names each invalid or unknown variable."""
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
    """Return the log's format and level, with defaults for invalid values: errors in other settings are logged too."""
    asked = []
    for name in ("log_format", "log_level"):
        field = Settings.model_fields[name]
        value = os.environ.get(f"{PREFIX}{name.upper()}", "")
        asked.append(value if value in get_args(field.annotation) else str(field.default))
    return asked[0], asked[1]


def http_settings_asked() -> HttpSettings:
    """Return the HTTP settings, with defaults for all if one is invalid: errors in other settings are served too."""
    try:
        return HttpSettings()
    except (SettingsError, ValidationError):
        return HttpSettings.model_construct()


def _unknown_variables() -> Iterator[str]:
    known = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in _KINDS for name in kind.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _SERVICE_LINK.search(name):
            near = difflib.get_close_matches(name.upper(), known, n=1)
            yield f"{name} is not a setting" + (f", did you mean {near[0]}?" if near else "; see docs/settings.md")


# Kubernetes sets these variables for every service of a namespace, also for one called `watchword`.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")

_KINDS: tuple[type[BaseSettings], ...] = (Settings, StackSettings)
