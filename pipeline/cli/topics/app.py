"""Commands of topics: `watchword topics …`."""

import typer

from pipeline.cli.topics.acls import acls

app = typer.Typer(help="Look after Kafka's topics and the rights on them.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Look after Kafka's topics and the rights on them."""


app.command()(acls)
