"""Commands about images: `scan`, `classify`, `search` and `sweep`."""

import typer

from pipeline.cli.images.classify import classify
from pipeline.cli.images.scan import scan
from pipeline.cli.images.search import search
from pipeline.cli.images.sweep import sweep

app = typer.Typer()
app.command()(scan)
app.command()(classify)
app.command()(search)
app.command()(sweep)
