"""`watchword archive index`."""

import typer

from pipeline.cli.session import session_of


def index(context: typer.Context) -> None:
    """
    Build a search index for each model with enough embeddings. Run this again as the archive grows.

    Example: `watchword archive index`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.operations.archive.maintenance import index_archive

    for model in index_archive(session_of(context).workbench):
        typer.echo(f"{model.model_digest}  {'indexed' if model.indexed else 'too few to need an index'}")
