"""`watchword archive status`."""

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted


def status(context: typer.Context) -> None:
    """
    Show the number of archived embeddings of each model, and the images on hold.

    Example: `watchword archive status`
    """
    from pipeline.cli.console import output
    from pipeline.operations.archive.status import archive_status

    found = archive_status(session_of(context).workbench)
    for model in found.models:
        output().print(f"{model.model_digest}  {counted(model.count, 'embedding')}")
    for held in found.holds:
        output().print(f"held  {held.content}  {held.reason}")
