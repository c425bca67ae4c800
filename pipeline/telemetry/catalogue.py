"""Metric catalogues: every metric with its type, labels and description."""

import threading
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

# The last line of an OpenMetrics page.
_END = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Described:
    """One metric of the catalogue, as the docs show it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class BulkHistogram:
    """
    A histogram with one label that counts a whole array at a time, because every image has a score for every policy.

    It writes its own lines: with 200 policies it is most of the page. It has no sum, because the sum of negative values
    is not a counter. OpenMetrics then asks for no count either; Prometheus reads it, in both formats.
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

    def render(self) -> bytes:
        """Return the metric's part of the page, the same in both formats."""
        with self._lock:
            counts = {label: np.cumsum(each).tolist() for label, each in self._counts.items()}
        lines = [f"# HELP {self._name} {self._text}", f"# TYPE {self._name} histogram"]
        for value, buckets in counts.items():
            label = f'{self._label}="{_escaped(value)}"'
            lines += [
                f'{self._name}_bucket{{le="{bound}",{label}}} {count}.0'
                for bound, count in zip(self._names, buckets, strict=True)
            ]
            lines.append(f"{self._name}_count{{{label}}} {buckets[-1]}.0")
        return "\n".join([*lines, ""]).encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Catalogue:
    """Metrics in a separate registry, with the descriptions that the docs show."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._described: list[Described] = []
        self._bulk: list[BulkHistogram] = []
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Return the content type and every metric: in OpenMetrics, with exemplars, for a client that accepts it."""
        encoder, content_type = choose_encoder(accept)
        page, bulk = encoder(self.registry), b"".join(each.render() for each in self._bulk)
        return content_type, page.removesuffix(_END) + bulk + (_END if page.endswith(_END) else b"")

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
        self._bulk.append(histogram)
        return histogram
