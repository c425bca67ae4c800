"""Changes between two pages of metrics: increases of counters, and quantiles of what histograms gained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.telemetry.scrape import MetricsPage

_EMPTY: Mapping[float, float] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """Two pages of one worker, the earlier first."""

    before: MetricsPage
    after: MetricsPage

    @property
    def seconds(self) -> float:
        """Time between the two pages, in seconds."""
        return self.after.taken_s - self.before.taken_s

    def increase(self, name: str, **labels: str) -> float:
        """Return the increase of a counter. A counter that fell has started again at 0."""
        earlier, later = self.before.total(name, **labels), self.after.total(name, **labels)
        return later - earlier if later >= earlier else later

    def increases(self, name: str, *keys: str) -> dict[tuple[str, ...], float]:
        """Return the increases of a counter by the values of some labels."""
        earlier, later = self.before.by(name, *keys), self.after.by(name, *keys)
        gained = {place: value - earlier.get(place, 0.0) for place, value in later.items()}
        return {place: value if value >= 0 else later[place] for place, value in gained.items()}

    def buckets(self, name: str) -> dict[float, float]:
        """Return the increases of a histogram's cumulative counts by upper bound."""
        earlier, later = self.before.buckets(name), self.after.buckets(name)
        restarted = later.get(math.inf, 0.0) < earlier.get(math.inf, 0.0)
        base = _EMPTY if restarted else earlier
        return {bound: count - base.get(bound, 0.0) for bound, count in later.items()}


def quantile(share: float, histograms: Sequence[Mapping[float, float]]) -> float | None:
    """
    Return the quantile `share` of histograms together, None without an observation.

    Interpolates within a bucket, as Prometheus's `histogram_quantile` does; above the last bound it is that bound.
    """
    bounds = sorted({bound for histogram in histograms for bound in histogram})
    counts = [sum(histogram.get(bound, 0.0) for histogram in histograms) for bound in bounds]
    if not counts or counts[-1] <= 0:
        return None
    wanted, below, lower = share * counts[-1], 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= wanted:
            return lower if math.isinf(bound) else lower + (bound - lower) * (wanted - below) / max(count - below, 1e-9)
        below, lower = count, bound
    return lower
