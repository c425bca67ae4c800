"""`watchword run`."""

import typer

from pipeline.cli.session import session_of


def run(context: typer.Context) -> None:
    """
    Run a worker. It reads images from Kafka and writes verdicts and flags back, exactly once.

    The settings are WATCHWORD_ environment variables; `watchword settings` prints them. On SIGTERM the worker finishes
    the chunks in flight and exits.

    Exit codes: 0 stopped as asked, 1 an unexpected error, 2 a setting or policy is wrong, 3 too many dead letters, 4
    another worker uses this WATCHWORD_INSTANCE_ID, 5 the committed offset is past the end of the log.

    Example: `WATCHWORD_INSTANCE_ID=worker-1 WATCHWORD_POLICIES=policies watchword run`
    """
    from pipeline.settings import logging_asked
    from pipeline.telemetry.logs import configure_logging

    # Before the settings are read, so that a wrong setting is a log event like any other fault.
    configure_logging(*logging_asked())
    from pipeline.stream.run import run_worker

    run_worker(session_of(context).settings)
