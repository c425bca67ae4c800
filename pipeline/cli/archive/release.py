"""`watchword archive release`."""

import typer

from pipeline.cli.archive.options import Content
from pipeline.cli.session import session_of
from pipeline.counted import counted


def release(context: typer.Context, content: Content) -> None:
    """
    End the legal hold on an image: `delete` and `expire` apply to its embeddings again.

    Example: `watchword archive release 3a7bd3e2…`
    """
    from pipeline.operations.archive.holds import release_image

    typer.echo(f"{counted(release_image(session_of(context).workbench, content), 'embedding')} released")
