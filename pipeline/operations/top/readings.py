"""Readings of a running stream: the pages of its workers, and what the broker knows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.broker.cluster import brokers_of
from pipeline.broker.tail import last_records
from pipeline.errors import BrokerFault, UsageError, WorkerFault
from pipeline.events.records import Record
from pipeline.operations.stream.lag import GroupLag, measure_lag
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings
from pipeline.stack_settings import PREFIX
from pipeline.telemetry.scrape import MetricsPage, read_metrics, unready_checks

TIMEOUT_S = 3.0
_ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared with, not bound


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """
    What one worker shows at a moment: its metrics and the names of its false readiness checks.

    `page` is None if it did not answer; `problem` then says why.
    """

    address: str
    page: MetricsPage | None = None
    unready: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """Lag of the group and the newest flags, the newest first. `problem` says why they are missing."""

    lag: GroupLag | None = None
    flags: tuple[Record, ...] = ()
    problem: str = ""


def worker_address(settings: Settings) -> str:
    """Return the address of this machine's worker, `host:port`. Raises `UsageError` when its port is not fixed."""
    if settings.http_port == 0:
        raise UsageError(f"{PREFIX}HTTP_PORT is 0, so the worker's port is not known; give `--worker host:port`")
    host = "127.0.0.1" if settings.http_host in _ANY_ADDRESS else settings.http_host
    return f"{host}:{settings.http_port}"


def read_workers(addresses: Sequence[str]) -> tuple[WorkerReading, ...]:
    """Read every worker, all at the same time, within some seconds. Raises `UsageError` for an invalid address."""
    with ThreadPoolExecutor(max(1, len(addresses)), "read-worker") as threads:
        return tuple(threads.map(_read_worker, addresses))


def read_broker(workbench: Workbench, flags: int) -> BrokerReading:
    """Return the group's lag and the newest `flags` flags. A broker that fails is part of the reading."""
    try:
        brokers_of(workbench.connection, timeout_s=TIMEOUT_S)
        lag = measure_lag(workbench)
        return BrokerReading(lag, tuple(last_records(workbench.connection, workbench.settings.topic_flags, flags)))
    except (BrokerFault, UsageError) as error:
        return BrokerReading(problem=str(error))


def _read_worker(address: str) -> WorkerReading:
    try:
        page = read_metrics(address, timeout_s=TIMEOUT_S)
        return WorkerReading(address, page, unready_checks(address, timeout_s=TIMEOUT_S))
    except WorkerFault as fault:
        return WorkerReading(address, problem=str(fault))
