"""`watchword archive expire`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted


def expire(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="Age in days; older embeddings are deleted unless held.")],
) -> None:
    """
    Delete old embeddings; no byte of them remains in the archive's files.

    Stop `watchword archive run` first: this command would also remove files that it is still writing.

    Example: `watchword archive expire --days 90`
    """
    from pipeline.operations.archive.forget import expire_images

    deleted = expire_images(session_of(context).workbench, datetime.now(UTC) - timedelta(days=days))
    typer.echo(f"{counted(deleted, 'embedding')} deleted")
