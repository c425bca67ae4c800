"""The commands of `watchword models`."""

import typer

from pipeline.cli.models.build import build
from pipeline.cli.models.compare import compare
from pipeline.cli.models.evaluate import evaluate
from pipeline.cli.models.golden import golden
from pipeline.cli.models.import_ import import_
from pipeline.cli.models.parity import parity
from pipeline.cli.models.quantise import quantise
from pipeline.cli.models.train import train

app = typer.Typer(
    help="Train, import, measure and compare models, and build engines for them (extras `models` and `engines`).",
    no_args_is_help=True,
)
app.command()(train)
app.command()(evaluate)
app.command(name="import")(import_)
app.command()(compare)
app.command()(parity)
app.command()(quantise)
app.command(name="quantize", hidden=True)(quantise)
app.command()(build)
app.command()(golden)
