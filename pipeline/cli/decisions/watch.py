"""`watchword decisions watch`."""

import typer

from pipeline.cli.session import session_of
from pipeline.extras import models_extra


def watch(context: typer.Context) -> None:
    """
    Serve metrics about people's decisions on `/metrics` until SIGTERM: counts, and estimated precision and recall.

    Example: `WATCHWORD_HTTP_PORT=8082 watchword decisions watch`
    """
    from pipeline.settings import logging_asked
    from pipeline.telemetry.logs import configure_logging

    # Before the settings are read, so that a wrong setting is a log event like any other fault.
    configure_logging(*logging_asked())
    with models_extra("calibrate"):
        from pipeline.operations.decisions.watch import watch_decisions
    from pipeline.stream.shutdown import Shutdown

    session = session_of(context)
    shutdown = Shutdown(session.settings.drain_timeout_s)
    shutdown.install()
    watch_decisions(session.workbench, shutdown.asked, shutdown.begin_work)
