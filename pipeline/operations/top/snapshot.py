"""Snapshot of a running stream: lag, rates, stages, policies, flags, dead letters and probes at one moment."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.events.wire.raw import json_fields
from pipeline.operations.stream.lag import GroupLag
from pipeline.operations.top.changes import Change, quantile
from pipeline.operations.top.readings import BrokerReading, WorkerReading, read_broker, read_workers
from pipeline.operations.workbench import Workbench
from pipeline.telemetry.scrape import MetricsPage

STAGES = ("decode", "encode", "judge", "commit")
TOP_POLICIES = 8
LAST_FLAGS = 6
_TIME_CHARACTERS = 19


@dataclass(frozen=True, slots=True)
class WorkerView:
    """
    One worker: `state` is `ready` or says what is wrong.

    If it does not answer, `problem` is the reason and the figures are 0. `images_per_s` counts committed verdicts, and
    is None without two pages. `lag_s` is the age of its oldest uncommitted record, in seconds.
    """

    address: str
    state: str
    problem: str = ""
    partitions: int = 0
    images_per_s: float | None = None
    chunks: int = 0
    chunks_limit: int = 0
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage of all workers: mean time of a chunk (seconds), share of the time at work, and waiting chunks."""

    name: str
    seconds_per_chunk: float | None
    busy: float
    waiting: int


@dataclass(frozen=True, slots=True)
class CountView:
    """A counter by name: its increase per second between the pages, and its total since the workers' start."""

    name: str
    per_s: float
    total: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class FlagView:
    """One flag, as text for a table: its time, policy, score and event."""

    time: str
    policy: str
    score: float | None
    event: str


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of all workers together, per second, and quantiles of latency (seconds), None without an event."""

    records: float
    verdicts: float
    flags: float
    dead_letters: float
    latency_p50_s: float | None
    latency_p99_s: float | None
    encoder_request_s: float | None
    encoder_in_flight: int


@dataclass(frozen=True, slots=True)
class ProbesView:
    """Golden probes of all workers: how many pass, how many have a golden file, and failures since the start."""

    passing: int
    known: int
    workers: int
    failures: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream at one moment. `interval_s` is the time over which rates were measured, in seconds."""

    interval_s: float
    workers: tuple[WorkerView, ...]
    rates: Rates
    stages: tuple[StageView, ...]
    policies: tuple[CountView, ...]
    dead_letters: tuple[CountView, ...]
    probes: ProbesView
    lag: GroupLag | None
    flags: tuple[FlagView, ...]
    broker_problem: str


def take_snapshot(
    workbench: Workbench, addresses: Sequence[str], interval_s: float, before: tuple[WorkerReading, ...] | None = None
) -> tuple[Snapshot, tuple[WorkerReading, ...]]:
    """
    Return a snapshot, and the reading to pass as `before` to the next one.

    Waits until `interval_s` have passed since `before`, or since a first reading. A worker or a broker that does not
    answer is part of the snapshot. Raises `UsageError` for an invalid address.
    """
    before = before or read_workers(addresses)
    broker = read_broker(workbench, LAST_FLAGS)
    threading.Event().wait(interval_s)
    after = read_workers(addresses)
    return snapshot_of(before, after, broker), after


def snapshot_of(before: Sequence[WorkerReading], after: Sequence[WorkerReading], broker: BrokerReading) -> Snapshot:
    """Return the snapshot between two readings of the same workers. Pure."""
    earlier = {each.address: each.page for each in before}
    pages = [each.page for each in after if each.page is not None]
    changes = [Change(found, each.page) for each in after if each.page and (found := earlier.get(each.address))]
    return Snapshot(
        interval_s=max((each.seconds for each in changes), default=0.0),
        workers=tuple(_worker(each, earlier.get(each.address)) for each in after),
        rates=_rates(changes, pages),
        stages=tuple(_stage(name, changes, pages) for name in STAGES),
        policies=_counts("watchword_flags_total", ("policy", "mode"), changes, pages)[:TOP_POLICIES],
        dead_letters=_counts("watchword_dead_letters_total", ("reason",), changes, pages),
        probes=_probes(pages),
        lag=broker.lag,
        flags=tuple(_flag(json_fields(each)) for each in broker.flags),
        broker_problem=broker.problem,
    )


def _worker(reading: WorkerReading, before: MetricsPage | None) -> WorkerView:
    page = reading.page
    if page is None:
        return WorkerView(reading.address, "no answer", reading.problem)
    change = Change(before, page) if before else None
    return WorkerView(
        reading.address,
        _state(page, reading.unready),
        partitions=int(page.total("watchword_assigned_partitions")),
        images_per_s=_per_s([change], "watchword_verdicts_total") if change else None,
        chunks=int(page.total("watchword_chunks_in_work")),
        chunks_limit=int(page.total("watchword_capacity", limit="chunks")),
        lag_s=page.largest("watchword_consumer_lag_seconds"),
    )


def _state(page: MetricsPage, unready: Sequence[str]) -> str:
    codes = [code for (code,), value in page.by("watchword_stopped", "code").items() if value]
    if codes:
        return f"stopped with exit code {codes[0]}"
    return f"not ready: {', '.join(unready)}" if unready else "ready"


def _rates(changes: Sequence[Change], pages: Sequence[MetricsPage]) -> Rates:
    latency = [each.buckets("watchword_end_to_end_latency_seconds") for each in changes]
    return Rates(
        _per_s(changes, "watchword_records_total"),
        _per_s(changes, "watchword_verdicts_total"),
        _per_s(changes, "watchword_flags_total"),
        _per_s(changes, "watchword_dead_letters_total"),
        quantile(0.5, latency),
        quantile(0.99, latency),
        _mean(changes, "watchword_encoder_request_duration_seconds"),
        int(sum(each.total("watchword_encoder_requests_in_flight") for each in pages)),
    )


def _stage(name: str, changes: Sequence[Change], pages: Sequence[MetricsPage]) -> StageView:
    worked = sum(each.increase("watchword_stage_duration_seconds_sum", stage=name) for each in changes)
    return StageView(
        name,
        _mean(changes, "watchword_stage_duration_seconds", stage=name),
        min(1.0, worked / max(sum(each.seconds for each in changes), 1e-9)),
        int(sum(each.total("watchword_queue_chunks", stage=name) for each in pages)),
    )


def _counts(
    name: str, keys: tuple[str, ...], changes: Sequence[Change], pages: Sequence[MetricsPage]
) -> tuple[CountView, ...]:
    """Return the counts above 0 by labels, those that increase most first."""
    rates: defaultdict[tuple[str, ...], float] = defaultdict(float)
    totals: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for change in changes:
        for place, value in change.increases(name, *keys).items():
            rates[place] += value / max(change.seconds, 1e-9)
    for page in pages:
        for place, value in page.by(name, *keys).items():
            totals[place] += value
    found = [
        CountView(place[0], rates[place], int(total), "".join(place[1:])) for place, total in totals.items() if total
    ]
    return tuple(sorted(found, key=lambda each: (-each.per_s, -each.total, each.name)))


def _probes(pages: Sequence[MetricsPage]) -> ProbesView:
    return ProbesView(
        int(sum(each.total("watchword_probe_up") for each in pages)),
        int(sum(each.total("watchword_probe_known") for each in pages)),
        len(pages),
        int(sum(each.total("watchword_probe_failures_total") for each in pages)),
    )


def _flag(fields: Mapping[str, object]) -> FlagView:
    policy, event, score = fields.get("policy"), fields.get("event"), fields.get("score")
    return FlagView(
        str(fields.get("time", ""))[:_TIME_CHARACTERS].replace("T", " "),
        str(policy.get("id", "")) if isinstance(policy, dict) else "",
        float(score) if isinstance(score, int | float) else None,
        str(event.get("id", "")) if isinstance(event, dict) else "not a flag",
    )


def _per_s(changes: Sequence[Change], name: str) -> float:
    return sum(each.increase(name) / max(each.seconds, 1e-9) for each in changes)


def _mean(changes: Sequence[Change], name: str, **labels: str) -> float | None:
    count = sum(each.increase(f"{name}_count", **labels) for each in changes)
    total = sum(each.increase(f"{name}_sum", **labels) for each in changes)
    return total / count if count > 0 else None
