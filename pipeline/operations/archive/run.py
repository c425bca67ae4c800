"""Archiver: the process that stores the embeddings of the stream."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import structlog

from pipeline.operations.workbench import Workbench
from pipeline.stream.archiver import Archiver
from pipeline.stream.build import build_archiver
from pipeline.telemetry.health import HealthServer

log = structlog.get_logger()


def open_archiver(workbench: Workbench) -> Archiver:
    """Return the archiver that the settings describe; its `run` blocks until `stop`. Raises `BrokerFault`."""
    return build_archiver(workbench.settings, workbench.archive)


@contextmanager
def served(workbench: Workbench, archiver: Archiver) -> Iterator[None]:
    """Serve an archiver's health and metrics meanwhile. Raises `UsageError` when the address cannot be served at."""
    settings = workbench.settings
    health = HealthServer(
        settings.http_host,
        settings.http_port,
        archiver.metrics,
        alive=archiver.alive,
        ready=archiver.ready,
        allowed_hosts=settings.http_allowed_hosts,
    )
    with closing(health):
        log.info("health_answers", address=health.address)
        yield
