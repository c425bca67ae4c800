"""`watchword archive compact`."""

import typer

from pipeline.cli.session import session_of


def compact(context: typer.Context) -> None:
    """
    Merge small files, and remove files that are no longer needed. Other processes may write meanwhile.

    Example: `watchword archive compact`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.operations.archive.maintenance import compact_archive

    compact_archive(session_of(context).workbench)
    typer.echo("compacted")
