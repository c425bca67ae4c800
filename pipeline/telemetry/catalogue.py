"""Metric catalogues: every metric with its type, labels and description."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Described:
    """One metric of the catalogue, as the docs show it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class BulkHistogram(Collector):
    """
    A histogram with one label that counts a whole array at a time, because every image has a score for every policy.

    It has no sum, because the sum of negative values is not a counter.
    """

    def __init__(self, name: str, text: str, buckets: tuple[float, ...], label: str) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = np.array(buckets, dtype=np.float64)
        self._names = [*(str(float(bound)) for bound in buckets), "+Inf"]
        self._counts: defaultdict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(len(self._names), np.int64))
        self._lock = threading.Lock()

    def observe(self, label: str, values: ArrayLike) -> None:
        """Count `values`, float64 [N], under one value of the label."""
        places = np.searchsorted(self._bounds, values, side="left")
        with self._lock:
            self._counts[label] += np.bincount(places, minlength=len(self._names))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric's name alone, for the registry."""
        yield HistogramMetricFamily(self._name, self._text, labels=[self._label])

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric as it is now."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        with self._lock:
            for label, counts in self._counts.items():
                buckets = list(zip(self._names, np.cumsum(counts).tolist(), strict=True))
                family.add_metric([label], buckets, None)
                family.add_sample(f"{self._name}_count", {self._label: label}, buckets[-1][1])
        yield family


class Catalogue:
    """Metrics in a separate registry, with the descriptions that the docs show."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._described: list[Described] = []
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """Return every metric in Prometheus' text format."""
        return generate_latest(self.registry)

    def described(self) -> tuple[Described, ...]:
        """Return the catalogue in its order."""
        return tuple(self._described)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        self._described.append(Described(f"watchword_{name}_total", "counter", labels, text))
        return Counter(f"watchword_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        self._described.append(Described(f"watchword_{name}", "gauge", labels, text))
        return Gauge(f"watchword_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
        self._described.append(Described(f"watchword_{name}", "histogram", labels, text))
        return Histogram(f"watchword_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _bulk_histogram(self, name: str, text: str, buckets: tuple[float, ...], label: str) -> BulkHistogram:
        self._described.append(Described(f"watchword_{name}", "histogram", (label,), text))
        histogram = BulkHistogram(f"watchword_{name}", text, buckets, label)
        self.registry.register(histogram)
        return histogram
