"""The commands of `watchword decisions`."""

import typer

from pipeline.cli.decisions import add, show, watch

app = typer.Typer(
    help="Record people's decisions about images, and estimate precision and recall from them.", no_args_is_help=True
)
app.command()(add.add)
app.command()(show.show)
app.command()(watch.watch)
