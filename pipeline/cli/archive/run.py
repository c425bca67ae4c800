"""`watchword archive run`."""

import typer

from pipeline.cli.session import session_of


def run(context: typer.Context) -> None:
    """
    Archive the embeddings of the stream until SIGTERM or Ctrl-C. Each is stored once, even after a crash.

    Example: `WATCHWORD_ARCHIVE=s3://moderation/archive watchword archive run`
    """
    from pipeline.operations.archive.run import open_archiver
    from pipeline.signals import on_stop
    from pipeline.telemetry.logs import configure_logging

    session = session_of(context)
    configure_logging(session.settings.log_format, session.settings.log_level)
    archiver = open_archiver(session.workbench)
    on_stop(archiver.stop)
    archiver.run()
