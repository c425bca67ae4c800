"""Metrics as a scrape shows them."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from pipeline.telemetry.catalogue import Catalogue
from pipeline.telemetry.metrics import ArchiveMetrics, DecisionMetrics, HeldMetrics, Metrics


def metrics() -> dict[str, Any]:
    """Return each process's metrics: type, labels, buckets, and the series that are there before anything happened."""
    return {
        "worker": _scraped(Metrics()),
        "decisions watch": _scraped(DecisionMetrics()),
        "archive run --serve": _scraped(ArchiveMetrics()),
        "run --hold": _scraped(HeldMetrics()),
    }


def _scraped(catalogue: Catalogue) -> dict[str, Any]:
    at_start = {_name(family): _series(family) for family in _families(catalogue)}
    for collector in [*catalogue.registry._collector_to_names, *catalogue._bulk]:
        _fill(collector)
    return {_name(family): {**_fields(family), "at_start": at_start[_name(family)]} for family in _families(catalogue)}


def _fill(collector: Any) -> None:
    """Give a metric with labels one series, so that a scrape shows them."""
    if labels := getattr(collector, "_labelnames", ()):
        collector.labels(*("x" for _ in labels))
    elif not hasattr(collector, "_labelnames") and hasattr(collector, "observe"):
        collector.observe("x", [0.0])


def _families(catalogue: Catalogue) -> Iterator[Metric]:
    for family in text_string_to_metric_families(catalogue.render()[1].decode()):
        if not family.name.endswith("_created"):  # the client's own, which it can be told to leave out
            yield family


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _fields(family: Metric) -> dict[str, Any]:
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    buckets = [sample.labels["le"] for sample in family.samples if "le" in sample.labels]
    return {"type": family.type, "labels": sorted(labels), "buckets": list(dict.fromkeys(buckets))}


def _series(family: Metric) -> list[str]:
    found = (sample.labels.items() - {("le", sample.labels.get("le"))} for sample in family.samples)
    return sorted({",".join(f"{label}={value}" for label, value in sorted(labels)) for labels in found if labels})
