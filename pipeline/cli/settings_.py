"""`watchword settings`."""

import typer

from pipeline.cli.session import session_of


def settings(context: typer.Context) -> None:
    """
    Print the value of every setting as JSON, with secrets masked.

    Example: `watchword settings | jq .topic_images`
    """
    from pipeline.cli.console import print_json

    print_json(session_of(context).settings.shown(), indent=2)
