"""`watchword decisions watch`: how policies stand, as metrics."""

import math
import signal
import threading
from contextlib import closing

import structlog

from pipeline.broker.table import TableReader
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import connection_of, decision_topic
from pipeline.cli.decisions.commands import ever_flagged
from pipeline.errors import BrokerFault
from pipeline.evaluation.decisions.standing import decisions, latest, standings
from pipeline.events.decisions import Decision, Ruling
from pipeline.settings import Settings, load_settings
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.logs import configure_logging
from pipeline.telemetry.metrics import DecisionMetrics

log = structlog.get_logger()


def run_watch() -> None:
    """Show on `/metrics` how policies stand, until SIGTERM."""
    settings, stopping = load_settings(Settings), threading.Event()
    configure_logging(settings.log_format, settings.log_level)
    metrics, connection, topic = DecisionMetrics(), connection_of(settings), decision_topic(settings)
    ensure_topics(connection, [topic])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    answered = threading.Event()
    known: list[Decision] = []
    health = HealthServer(
        settings.http_host,
        settings.http_port,
        metrics,
        alive=lambda: {"running": True},
        ready=lambda: {"broker": answered.is_set()},
    )
    with closing(health), closing(TableReader(connection, topic.name)) as reader:
        log.info("watching decisions", metrics=health.address, topic=topic.name)
        while not stopping.is_set():
            try:
                news = list(decisions(reader.read_new()))
                answered.set()
            except BrokerFault as fault:
                log.warning("decisions cannot be read, trying again", fault=str(fault))
                answered.clear()
                news = []
            if news:
                known = latest([*known, *news])
                show(metrics, known)
            stopping.wait(settings.policy_interval_s)


def show(metrics: DecisionMetrics, known: list[Decision]) -> None:
    """Set every gauge to what decisions say now."""
    metrics.newest.set(max(each.time for each in known).timestamp())
    metrics.forget()
    for standing in standings(known):
        for ruling in Ruling:
            metrics.decisions.labels(standing.policy_id, ruling.value).set(standing.rulings[ruling])
        precision, recall = standing.precision, standing.recall.interval if standing.recall else None
        if not math.isnan(precision.value):
            metrics.show("precision", standing.policy_id, precision.value, precision.lower, precision.upper)
        if recall is not None and ever_flagged(standing):
            metrics.show("recall", standing.policy_id, recall.value, recall.lower, recall.upper)
