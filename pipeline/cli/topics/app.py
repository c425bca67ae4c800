"""The commands of `watchword topics`."""

import typer

from pipeline.cli.topics.acls import acls
from pipeline.cli.topics.apply import apply

app = typer.Typer(help="Create and configure the topics, and list the rights on them.", no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Create and configure the topics of a stream, and list the rights on them."""


app.command()(apply)
app.command()(acls)
