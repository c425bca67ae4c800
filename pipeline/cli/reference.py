"""The reference pages that are made from code: settings, metrics and the schema of policy files."""

import json
from collections.abc import Iterator

from pydantic_settings import BaseSettings

from pipeline.errors import DeadLetterReason
from pipeline.policies.json_schema import Kind, json_schema
from pipeline.settings import Settings, StackSettings
from pipeline.telemetry.catalogue import Catalogue
from pipeline.telemetry.metrics import DecisionMetrics, Metrics


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable. `watchword settings` prints those in force, secrets masked, and a",
        "worker logs them as its first line. This page is made from `pipeline/settings.py` by `make docs`.",
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
    lines = [
        "# Metrics",
        "",
        "A worker serves `/metrics`, `/healthz` (loop, chunks and policy watch alive) and `/readyz` (partitions",
        "assigned, model answers, policy set loaded, broker answers, topics there, commits made while there is",
        "something to commit) at `WATCHWORD_HTTP_HOST:WATCHWORD_HTTP_PORT`, from its first moment on. This page is",
        "made from `pipeline/telemetry/metrics.py` by `make docs`. Beside these are the process's own",
        "(`process_cpu_seconds_total`, `process_resident_memory_bytes`, …).",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
        *_metrics_rows(Metrics()),
        "",
        "`watchword decisions watch` serves these:",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
        *_metrics_rows(DecisionMetrics()),
        "",
        "## Reasons of dead letters",
        "",
        "The list is closed: " + ", ".join(f"`{reason}`" for reason in DeadLetterReason) + ".",
        "",
    ]
    return "\n".join(lines)


def schema_page(kind: Kind) -> str:
    """Return docs/policy.schema.json, or the schema of another file of a policy folder."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"


def _settings_table(kind: type[BaseSettings]) -> Iterator[str]:
    prefix = kind.model_config["env_prefix"]
    yield "| variable | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in kind.model_fields.items():
        yield f"| `{prefix}{name.upper()}` | {_default(name, field.default)} | {field.description} |"


_PLACES = {
    "model": "the bundled model",
    "python": "the Python that runs",
    "instance_id": "the host's name",
    "file_roots": "none",
}


def _default(name: str, value: object) -> str:
    if name in _PLACES:
        return _PLACES[name]
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _metrics_rows(catalogue: Catalogue) -> Iterator[str]:
    for metric in catalogue.described():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |"
