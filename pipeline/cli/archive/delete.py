"""`watchword archive delete`."""

import typer

from pipeline.cli.archive.options import Content
from pipeline.cli.session import session_of
from pipeline.counted import counted


def delete(context: typer.Context, content: Content) -> None:
    """
    Delete all embeddings of one image, for every model; no byte of them remains in the archive's files.

    Stop `watchword archive run` first: this command would also remove files that it is still writing.

    Example: `watchword archive delete 3a7bd3e2…`
    """
    from pipeline.operations.archive.forget import delete_image

    typer.echo(f"{counted(delete_image(session_of(context).workbench, content), 'embedding')} deleted")
