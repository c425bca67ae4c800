"""The commands of `watchword dead-letters`."""

import typer

from pipeline.cli.dead_letters.drop import drop
from pipeline.cli.dead_letters.list_ import list_letters
from pipeline.cli.dead_letters.requeue import requeue
from pipeline.cli.dead_letters.save import save
from pipeline.cli.dead_letters.show import show

app = typer.Typer(
    help="List records that could not be judged, requeue them after a repair, or drop them.", no_args_is_help=True
)
app.command("list")(list_letters)
app.command()(show)
app.command()(save)
app.command()(requeue)
app.command()(drop)
