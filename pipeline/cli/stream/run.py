"""`watchword run`."""

from typing import Annotated

import typer

from pipeline.cli.exit_codes import exit_code_of, message_of
from pipeline.cli.session import session_of
from pipeline.errors import WatchwordError


def run(
    context: typer.Context,
    hold: Annotated[
        bool,
        typer.Option(
            "--hold",
            help="After an error that only a person can mend (exit codes 2 to 5), judge nothing, keep serving health "
            "and metrics, and exit on SIGTERM.",
        ),
    ] = False,
) -> None:
    """
    Run a worker. It reads images from Kafka and writes verdicts and flags back, exactly once.

    The settings are WATCHWORD_ environment variables; `watchword settings` prints them. On SIGTERM the worker finishes
    the chunks in flight and exits.

    Exit codes: 0 stopped as asked, 1 an unexpected error, 2 a setting or policy is wrong, 3 too many dead letters, 4
    another worker uses this WATCHWORD_INSTANCE_ID, 5 the committed offset is past the end of the log.

    `--hold` is for supervisors that restart what ends. Restarts would let a few more dead letters through each time.

    Example: `WATCHWORD_INSTANCE_ID=worker-1 WATCHWORD_POLICIES=policies watchword run`
    """
    from pipeline.settings import logging_asked
    from pipeline.telemetry.logs import configure_logging

    # Before the settings are read, so that a wrong setting is a log event like any other fault.
    configure_logging(*logging_asked())
    from pipeline.stream.run import run_worker

    try:
        run_worker(session_of(context).settings)
    except WatchwordError as error:
        if hold and exit_code_of(error) != 1:
            _hold(error)
        raise


def _hold(error: WatchwordError) -> None:
    from pipeline.settings import http_settings_asked
    from pipeline.stream.hold import hold_worker

    code, message = exit_code_of(error), message_of(error)
    hold_worker(http_settings_asked(), exit_code=code, error=type(error).__name__, message=message)
