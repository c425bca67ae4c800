"""Precision and recall from people's decisions, served as metrics while decisions arrive."""

import math
import threading
from collections.abc import Callable
from contextlib import closing

import structlog

from pipeline.broker.table import TableReader
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import decision_topic
from pipeline.errors import BrokerFault, RefusedByBroker, WatchwordError
from pipeline.evaluation.decisions.standing import DecisionStats, decisions, latest, standings
from pipeline.events.decisions import Decision, Ruling
from pipeline.operations.workbench import Workbench
from pipeline.retry import Backoff, Retry
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import DecisionMetrics

log = structlog.get_logger()


def watch_decisions(workbench: Workbench, stopping: threading.Event, begun: Callable[[], object]) -> None:
    """
    Serve `/metrics`, `/healthz` and `/readyz` until `stopping` is set. `begun` is called once the topic exists.

    Raises `UsageError` when the address cannot be served, and `BrokerFault` when the topic cannot be created. Later
    faults of the broker are retried.
    """
    settings, topic = workbench.settings, decision_topic(workbench.settings)
    ensure_topics(workbench.connection, [topic])
    begun()
    metrics, answered = DecisionMetrics(), threading.Event()
    health = HealthServer(
        settings.http_host,
        settings.http_port,
        metrics,
        alive=lambda: {"running": True},
        ready=lambda: {"broker": answered.is_set()},
    )
    backoff = Backoff(settings.retry_backoff_s, settings.retry_backoff_max_s)
    with closing(health), closing(TableReader(workbench.connection, topic.name)) as reader:
        log.info("decisions_watched", metrics=health.address, topic=topic.name)
        follow = _Follower(reader, metrics, answered, Retry(backoff, stopping.wait, _report))
        while not stopping.is_set():
            if follow.read():
                stopping.wait(settings.policy_interval_s)


class _Follower:
    """Decisions read so far, and the metrics that show them. Used by one thread."""

    def __init__(self, reader: TableReader, metrics: DecisionMetrics, answered: threading.Event, retry: Retry) -> None:
        self._reader, self._metrics, self._answered, self._retry = reader, metrics, answered, retry
        self._known: list[Decision] = []

    def read(self) -> bool:
        """Read new decisions and show them; False, after a pause, when the broker did not answer."""
        try:
            new = list(decisions(self._reader.read_new()))
        except (BrokerFault, RefusedByBroker) as fault:
            self._answered.clear()
            self._retry.failed(fault)
            return False
        self._retry.succeeded()
        self._answered.set()
        if new:
            self._known = latest([*self._known, *new])
            show(self._metrics, self._known)
        return True


def _report(fault: WatchwordError, pause_s: float) -> None:
    log.warning("decisions_unreadable", fault=str(fault), pause_s=pause_s)


def show(metrics: DecisionMetrics, known: list[Decision]) -> None:
    """Set every gauge from the decisions that count."""
    metrics.newest.set(max(each.time for each in known).timestamp())
    metrics.forget()
    for stats in standings(known):
        _show_policy(metrics, stats)


def _show_policy(metrics: DecisionMetrics, stats: DecisionStats) -> None:
    for ruling in Ruling:
        metrics.decisions.labels(stats.policy_id, ruling.value).set(stats.rulings[ruling])
    precision, recall = stats.precision, stats.recall.interval if stats.recall else None
    if not math.isnan(precision.value):
        metrics.show("precision", stats.policy_id, precision.value, precision.lower, precision.upper)
    if recall is not None and stats.ever_flagged:
        metrics.show("recall", stats.policy_id, recall.value, recall.lower, recall.upper)
