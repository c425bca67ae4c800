"""`watchword archive run`."""

import typer

from pipeline.cli.session import session_of


def run(context: typer.Context) -> None:
    """
    Archive the embeddings of the stream until SIGTERM or Ctrl-C. Each is stored once, even after a crash.

    Example: `WATCHWORD_ARCHIVE=s3://moderation/archive watchword archive run`
    """
    from pipeline.settings import logging_asked
    from pipeline.telemetry.logs import configure_logging

    # Before the settings are read: a setting that is wrong is a log event like any other fault.
    configure_logging(*logging_asked())
    from pipeline.operations.archive.run import open_archiver
    from pipeline.signals import on_stop

    archiver = open_archiver(session_of(context).workbench)
    on_stop(archiver.stop)
    archiver.run()
