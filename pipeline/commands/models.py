"""`watchword models`: train a model and write its bundle. Needs the `models` extra."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.errors import UsageError

# As in pipeline.models.bundled, which is imported only when it is run: it brings torch.
TextSource = Literal["captions", "sentences"]

app = typer.Typer(
    help="Train models and write their bundles (needs `pip install watchword[models]`).", no_args_is_help=True
)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with labels.csv (file, category, split) and the images.")],
    bundle: Annotated[Path, typer.Option(help="Where the model bundle goes.")],
    captions: Annotated[
        Path | None, typer.Option(help="Caption table (categories, groups, templates); the shipped one when not given.")
    ] = None,
    text: Annotated[
        TextSource,
        typer.Option(help="`captions`: both towers learn from them; `sentences`: from a sentence encoder as well."),
    ] = "captions",
    run: Annotated[Path, typer.Option(help="Where states and metrics of the runs go.")] = Path(".watchword/train"),
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="How long to train in all.  [default: 75 or 79]")
    ] = None,
    ranks: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    name: Annotated[str, typer.Option(help="The bundle's name.")] = "caltech-small",
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with runs that were interrupted.")] = False,
) -> None:
    """
    Train a CLIP on labelled photographs and write a bundle with its card.

    With `--text sentences` the text tower is distilled from a sentence encoder and the image tower tuned to it, so
    that policies may use words no caption has. `make training` installs that encoder.

    Example: `watchword models train ../shared/data/caltech101 --bundle out/caltech-small --minutes 79`
    """
    try:
        from pipeline.models.bundled import BUNDLED, train_bundle
        from pipeline.models.captions import BUNDLED_TABLE, Captions
    except ModuleNotFoundError as error:
        raise UsageError(f"`{error.name}` is missing; pip install 'watchword[models]'") from error

    plan = BUNDLED[text]
    plan = plan.within(minutes or plan.minutes, ranks)
    train_bundle(data, Captions.load(captions or BUNDLED_TABLE), bundle, run, name=name, plan=plan, resume=resume)


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
