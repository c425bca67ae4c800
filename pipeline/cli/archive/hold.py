"""`watchword archive hold`."""

from typing import Annotated

import typer

from pipeline.cli.archive.options import Content
from pipeline.cli.session import session_of
from pipeline.counted import counted


def hold(
    context: typer.Context,
    content: Content,
    reason: Annotated[
        str, typer.Option(help="Reason for the hold: who asked, and where the request is documented.")
    ] = "",
) -> None:
    """
    Keep an image's embeddings until `release`: `delete` refuses the image, and `expire` skips it.

    Example: `watchword archive hold 3a7bd3e2… --reason "order 12/2031"`
    """
    from pipeline.operations.archive.holds import hold_image

    typer.echo(f"{counted(hold_image(session_of(context).workbench, content, reason), 'embedding')} held")
