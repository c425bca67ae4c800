"""`watchword models`: train a model and write its bundle. Needs the `models` extra."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UsageError

app = typer.Typer(
    help="Train models and write their bundles (needs `pip install watchword[models]`).", no_args_is_help=True
)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with labels.csv (file, category, split) and the images.")],
    bundle: Annotated[Path, typer.Option(help="Where the model bundle goes.")],
    run: Annotated[Path, typer.Option(help="Where checkpoint and metrics of the run go.")] = Path(".watchword/train"),
    minutes: Annotated[float | None, typer.Option(min=0.1, help="How long to train in all.  [default: 79]")] = None,
    ranks: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    name: Annotated[str, typer.Option(help="The bundle's name.")] = "caltech-small",
) -> None:
    """
    Train both towers contrastively on labelled photographs and write a bundle with its card.

    Example: `watchword models train ../shared/data/caltech101 --bundle out/caltech-small --minutes 79`
    """
    try:
        from pipeline.models.bundled import train_bundle
    except ModuleNotFoundError as error:
        raise UsageError(f"`{error.name}` is missing; pip install 'watchword[models]'") from error

    train_bundle(data, bundle, run, name=name, minutes=minutes, ranks=ranks)


@app.command()
def measure(
    data: Annotated[Path, typer.Argument(help="Folder with labels.csv (file, category, split) and the images.")],
    bundle: Annotated[Path, typer.Option(help="Model bundle.")],
    split: Annotated[str, typer.Option(help="Which split; `test` is for final figures only.")] = "val",
) -> None:
    """
    Measure a bundle as shipped: zero-shot top-1 and mean average precision of each category as a text policy.

    Example: `watchword models measure samples --bundle pipeline/bundles/caltech-small`
    """
    from pipeline.encode.bundle import Bundle
    from pipeline.models.captions import BUNDLED_TABLE, Captions
    from pipeline.models.measure import measure as measure_bundle

    figures = measure_bundle(data, Bundle.load(bundle), Captions.load(BUNDLED_TABLE), split)
    typer.echo(
        f"{split}: {figures.images} images, top-1 {figures.top1:.4f}, mean average precision {figures.mean_ap:.4f}"
    )
