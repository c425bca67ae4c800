"""`watchword reference`: pages generated from code, about settings, metrics, log events and records."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import DeadLetterReason, UsageError

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

    from pipeline.policies.json_schema import Kind
    from pipeline.telemetry.catalogue import Catalogue
    from pipeline.telemetry.log_events import LogEvent


def reference(
    page: Annotated[
        str, typer.Argument(help="Page: `settings`, `metrics`, `logs`, `events`, or a kind of record, e.g. `verdict`.")
    ],
) -> None:
    """
    Print a reference page: Markdown, the AsyncAPI document of the topics, or the JSON Schema of a kind of record.

    `make docs` writes every page to docs/.

    Example: `watchword reference metrics > docs/metrics.md`
    """
    from pipeline.cli.reference_events import events_page, record_schema_page
    from pipeline.events.schemas.json_schema import KINDS

    pages: dict[str, Callable[[], str]] = {
        "settings": settings_page,
        "metrics": metrics_page,
        "logs": logs_page,
        "events": events_page,
        **{kind: partial(record_schema_page, kind) for kind in KINDS},
    }
    if page not in pages:
        raise UsageError(f"`{page}` is not a page; choose {', '.join(f'`{name}`' for name in pages)}")
    typer.echo(pages[page](), nl=False)


def settings_page() -> str:
    """Return docs/settings.md."""
    from pipeline.settings import Settings
    from pipeline.stack_settings import StackSettings

    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable. `watchword settings` prints their values, with secrets masked, and",
        "a worker logs them in its first line. `make docs` generates this page from `pipeline/settings.py`.",
        "",
        "## Worker and tools",
        "",
        *_settings_table(Settings),
        "",
        "## Local stack",
        "",
        *_settings_table(StackSettings),
        "",
    ]
    return "\n".join(lines)


def metrics_page() -> str:
    """Return docs/metrics.md."""
    from pipeline.telemetry.metrics import ArchiveMetrics, DecisionMetrics, HeldMetrics, Metrics

    lines = [
        "# Metrics",
        "",
        "A worker serves `/metrics`, `/healthz` (loop, chunks and policy watch alive) and `/readyz` (partitions",
        "assigned, model answers, policy set loaded, broker answers, topics exist, commits made while there is",
        "something to commit) at `WATCHWORD_HTTP_HOST:WATCHWORD_HTTP_PORT` as soon as it starts. `/metrics` also has",
        "the metrics of its process (`process_cpu_seconds_total`, `process_resident_memory_bytes`, …). `make docs`",
        "generates this page from `pipeline/telemetry/metrics.py`.",
        "",
        *_metrics_table(Metrics()),
        *_served("`watchword decisions watch` serves these:", DecisionMetrics()),
        *_served("`watchword archive run --serve` serves these:", ArchiveMetrics()),
        *_served("A worker that `watchword run --hold` keeps after an error serves this one alone:", HeldMetrics()),
        "## Reasons of dead letters",
        "",
        "The list is closed: " + ", ".join(f"`{reason}`" for reason in DeadLetterReason) + ".",
        "",
    ]
    return "\n".join(lines)


def schema_page(kind: "Kind") -> str:
    """Return docs/policy.schema.json, or the schema of another file of a policy folder."""
    from pipeline.policies.json_schema import json_schema

    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"


def logs_page() -> str:
    """Return docs/logs.md."""
    from pipeline.telemetry.log_events import logged_events

    lines = [
        "# Log events",
        "",
        "Workers (`watchword run`), the archiver (`watchword archive run`) and `watchword decisions watch` log one",
        "JSON object per line to stderr; `WATCHWORD_LOG_FORMAT` chooses the format. Other commands log some of these",
        "events too, as text. The `event` of a line is an identifier from this list. A line also has `level`,",
        "`timestamp` and the fields listed here; a traceback is in the field `exception`. Write alerts for the",
        "identifier, because the text in fields may change. `make docs` generates this page from the code.",
        "",
        "| event | level | fields | meaning |",
        "| --- | --- | --- | --- |",
        *map(_log_row, logged_events()),
        "",
    ]
    return "\n".join(lines)


def _log_row(event: "LogEvent") -> str:
    level = f"{', '.join(event.levels)}{', with a traceback' if event.traceback else ''}"
    fields = ", ".join(f"`{name}`" for name in event.fields) or _MANY_FIELDS.get(event.name, "–")
    return f"| `{event.name}` | {level} | {fields} | {event.meaning} |"


def _settings_table(kind: "type[BaseSettings]") -> Iterator[str]:
    prefix = kind.model_config["env_prefix"]
    yield "| variable | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in kind.model_fields.items():
        yield f"| `{prefix}{name.upper()}` | {_default(name, field.default)} | {field.description} |"


# Events whose fields are not written in the call of the logger.
_MANY_FIELDS = {"settings": "one for each [setting](settings.md)"}
# Defaults that depend on the machine, in words.
_DEFAULTS = {
    "model": "the bundled model",
    "python": "the Python that runs",
    "instance_id": "the host's name",
    "file_roots": "none",
}


def _default(name: str, value: object) -> str:
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _served(introduction: str, catalogue: "Catalogue") -> Iterator[str]:
    yield introduction
    yield ""
    yield from _metrics_table(catalogue)


def _metrics_table(catalogue: "Catalogue") -> Iterator[str]:
    yield "| metric | type | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    for metric in catalogue.described():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |"
    yield ""
