"""Commands of the archive: `watchword archive …`."""

import typer

from pipeline.cli.archive.compact import compact
from pipeline.cli.archive.delete import delete
from pipeline.cli.archive.expire import expire
from pipeline.cli.archive.hold import hold
from pipeline.cli.archive.index import index
from pipeline.cli.archive.release import release
from pipeline.cli.archive.run import run
from pipeline.cli.archive.status import status

app = typer.Typer(help="Store embeddings for search and back-tests, hold them, and delete them.", no_args_is_help=True)
app.command()(run)
app.command()(status)
app.command()(delete)
app.command()(hold)
app.command()(release)
app.command()(expire)
app.command()(compact)
app.command()(index)
