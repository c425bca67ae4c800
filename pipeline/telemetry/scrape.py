"""Pages of a worker's HTTP port, read from outside: its metrics as samples, and its readiness."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import UsageError, WorkerFault

MOST_BYTES = 64 << 20
_OK = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a page: the name, the labels and the value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Samples of a `/metrics` page by name; `taken_s` is the monotonic time at which it was read, in seconds."""

    taken_s: float
    samples: Mapping[str, tuple[Sample, ...]]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels; 0 without any."""
        return math.fsum(each.value for each in self._matching(name, labels))

    def largest(self, name: str) -> float:
        """Return the largest of the samples; 0 without any."""
        return max((each.value for each in self.samples.get(name, ())), default=0.0)

    def by(self, name: str, *keys: str) -> dict[tuple[str, ...], float]:
        """Return the sums of the samples by the values of some labels."""
        sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for each in self.samples.get(name, ()):
            sums[tuple(each.labels.get(key, "") for key in keys)] += each.value
        return dict(sums)

    def buckets(self, name: str) -> dict[float, float]:
        """Return the cumulative counts of a histogram by upper bound, over all its labels."""
        return {float(bound): count for (bound,), count in self.by(f"{name}_bucket", "le").items()}

    def _matching(self, name: str, labels: Mapping[str, str]) -> list[Sample]:
        return [each for each in self.samples.get(name, ()) if labels.items() <= each.labels.items()]


def parse_metrics(text: str, taken_s: float) -> MetricsPage:
    """Return the samples of a page in Prometheus's text format. Raises `WorkerFault` when it is none."""
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                samples[each.name].append(Sample(each.name, each.labels, float(each.value)))
    except (ValueError, KeyError, IndexError) as error:
        raise WorkerFault(f"the page of metrics cannot be read: {error}") from error
    return MetricsPage(taken_s, {name: tuple(found) for name, found in samples.items()})


def read_metrics(address: str, *, timeout_s: float) -> MetricsPage:
    """Return the metrics of the worker at `address` (`host:port`). Raises `WorkerFault`, and `UsageError`."""
    status, body = _get(address, "/metrics", timeout_s)
    if status != _OK:
        raise WorkerFault(f"`{address}` answers /metrics with {status}")
    return parse_metrics(body, time.monotonic())


def unready_checks(address: str, *, timeout_s: float) -> tuple[str, ...]:
    """Return the names of a worker's false readiness checks; none if it is ready. Raises `WorkerFault`."""
    status, body = _get(address, "/readyz", timeout_s)
    if status == _OK:
        return ()
    try:
        checks = json.loads(body)
    except ValueError:
        checks = None
    if not isinstance(checks, dict):
        return ("not ready",)
    return tuple(str(name) for name, good in checks.items() if good is False) or ("not ready",)


def _get(address: str, path: str, timeout_s: float) -> tuple[int, str]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"`{address}` is no address of a worker; expected `host:port`, for example `127.0.0.1:9464`")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": "text/plain"})
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise WorkerFault(f"`{address}` does not answer: {error}") from error
    finally:
        connection.close()
