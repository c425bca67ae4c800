"""The commands of `watchword topics`."""

import typer

from pipeline.cli.topics import apply

app = typer.Typer(help="Create and configure the topics of a stream.", no_args_is_help=True)
app.command()(apply.apply)


@app.callback()
def topics() -> None:
    """Create and configure the topics of a stream."""
