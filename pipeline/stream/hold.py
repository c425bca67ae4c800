"""Hold of a stopped worker: alive and not ready, with its reason, until a person restarts it."""

import threading
from contextlib import closing

import structlog

from pipeline.http_settings import HttpSettings
from pipeline.signals import on_stop
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import HeldMetrics

log = structlog.get_logger()


def hold_worker(http: HttpSettings, *, exit_code: int, error: str, message: str) -> None:
    """
    Serve health and metrics until SIGTERM or SIGINT.

    `/healthz` answers 200, because a restart mends nothing, and `/readyz` 503 with the error. Raises `UsageError` when
    the address cannot be served at.
    """
    stopping, metrics = threading.Event(), HeldMetrics()
    on_stop(stopping.set)
    metrics.stopped.labels(str(exit_code)).set(1)
    reason = {"running": False, "exit_code": str(exit_code), "error": error, "message": message}
    health = HealthServer(
        http.http_host,
        http.http_port,
        metrics,
        alive=lambda: {"held": True},
        ready=lambda: reason,
        allowed_hosts=http.http_allowed_hosts,
    )
    with closing(health):
        log.critical("worker_held", exit_code=exit_code, error=error, message=message, address=health.address)
        stopping.wait()
