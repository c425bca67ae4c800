"""`watchword archive run`."""

from contextlib import nullcontext
from typing import Annotated

import typer

from pipeline.cli.session import session_of


def run(
    context: typer.Context,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve health and metrics at WATCHWORD_HTTP_HOST and WATCHWORD_HTTP_PORT."),
    ] = False,
) -> None:
    """
    Archive the embeddings of the stream until SIGTERM or Ctrl-C. Each is stored once, even after a crash.

    With `--serve`, a worker on this host needs another WATCHWORD_HTTP_PORT.

    Example: `WATCHWORD_ARCHIVE=s3://moderation/archive watchword archive run`
    """
    from pipeline.settings import logging_asked
    from pipeline.telemetry.logs import configure_logging

    # Before the settings are read: a setting that is wrong is a log event like any other fault.
    configure_logging(*logging_asked())
    from pipeline.operations.archive.run import open_archiver, served
    from pipeline.signals import on_stop

    workbench = session_of(context).workbench
    archiver = open_archiver(workbench)
    on_stop(archiver.stop)
    with served(workbench, archiver) if serve else nullcontext():
        archiver.run()
