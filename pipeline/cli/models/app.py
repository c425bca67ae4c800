"""`watchword models`: bundles made, brought in, measured and compared; engines of them stand in their own file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.console import require_new_folder
from pipeline.cli.models import engines
from pipeline.errors import UsageError
from pipeline.extras import models_extra

# As in pipeline.models, which is imported only when it is run: it brings torch and onnx.
TextSource = Literal["captions", "sentences", "pairs"]

app = typer.Typer(
    help="Train, import, measure and compare models, and build engines of them (extras `models` and `engines`).",
    no_args_is_help=True,
)
app.add_typer(engines.app)


@app.command()
def train(
    data: Annotated[
        Path, typer.Argument(help="Folder with labels.csv (file, split, and category or caption) and the images.")
    ],
    bundle: Annotated[Path, typer.Option(help="Where the model bundle goes.")],
    captions: Annotated[
        Path | None, typer.Option(help="Caption table (categories, groups, templates); the shipped one when not given.")
    ] = None,
    text: Annotated[
        TextSource,
        typer.Option(
            help="`captions`: both towers learn from the table's; `sentences`: from a sentence encoder as well; "
            "`pairs`: from a column `caption` of labels.csv."
        ),
    ] = "captions",
    runs: Annotated[Path, typer.Option(help="Where states and metrics of the runs go.")] = Path(".watchword/train"),
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="How long to train in all, in processor time of a rank.  [default: 79, or 85 of `sentences`]"
        ),
    ] = None,
    ranks: Annotated[
        int, typer.Option(min=1, help="Processes, one thread each; under `torchrun` there are as many as it starts.")
    ] = 2,
    batch: Annotated[
        int | None, typer.Option(min=2, help="Images a step, of each rank.  [default: 96, or 64 with `sentences`]")
    ] = None,
    micro_batch: Annotated[
        int,
        typer.Option(
            min=0, help="With `pairs`, how many are computed at once; the loss is over all ranks' batches. 0: all."
        ),
    ] = 0,
    name: Annotated[str | None, typer.Option(help="The bundle's name.  [default: its folder's]")] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with runs that were interrupted.")] = False,
) -> None:
    """
    Train a CLIP on labelled photographs and write a bundle with its card.

    With `--text sentences` the text tower is distilled from a sentence encoder and the image tower tuned to it, so
    that policies may use words no caption has. `make training` installs that encoder. Under `torchrun`, on GPUs or
    CPUs, its processes are the ranks.

    Example: `watchword models train photographs --bundle out/mine`
    """
    with models_extra():
        from pipeline.models.captions import BUNDLED_TABLE, Captions
        from pipeline.models.training.bundled import BUNDLED, train_bundle
        from pipeline.models.training.train import count_ranks

    require_new_folder(bundle)
    if micro_batch and text != "pairs":
        raise UsageError("`--micro-batch` is for `--text pairs`")
    if captions and text == "pairs":
        raise UsageError("`--captions` is not for `--text pairs`: its captions are in labels.csv")
    plan = BUNDLED[text]
    plan = plan.within(minutes or plan.minutes, count_ranks(ranks)).batched(batch, micro_batch)
    train_bundle(
        data, Captions.load(captions or BUNDLED_TABLE), bundle, runs, name=name or bundle.name, plan=plan, resume=resume
    )


@app.command()
def evaluate(
    bundles: Annotated[list[Path], typer.Argument(help="Model bundles; several are shown side by side.")],
    data: Annotated[Path, typer.Option(help="Folder with labels.csv (file, category, split) and the images.")],
    split: Annotated[str, typer.Option(help="Which split; `test` is for final figures only.")] = "val",
    slice: Annotated[  # noqa: A002 -- the option's name
        list[str] | None, typer.Option(help="Column of labels.csv to tell results apart by; may be given again.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Caption table with the categories' names; the shipped one when not given.")
    ] = None,
    paraphrases: Annotated[
        Path | None, typer.Option(help="Other words for categories, YAML lists; the shipped ones when not given.")
    ] = None,
    policies: Annotated[Path, typer.Option(help="Folder of policy files, for the bias figures.")] = Path("policies"),
    format: Annotated[str, typer.Option(help="`markdown` or `json`.")] = "markdown",  # noqa: A002 -- the option's name
    card: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file, as Markdown, and beside it as JSON.")
    ] = None,
) -> None:
    """
    Measure bundles on labelled images: what they tell apart, what they rank worst, and whom they treat differently.

    Zero-shot top-1 and top-5, average precision of each category and of paraphrases as text policies, retrieval,
    calibration, the shape of the space, images as uploads mangle them, slices, and counterfactual prompts that name
    people.

    Example: `watchword models evaluate pipeline/bundles/caltech-small --data samples --card out/card.md`
    """
    from pipeline.cli.models.evaluate import run_evaluate

    run_evaluate(
        bundles,
        data,
        split,
        slices=tuple(slice or ()),
        captions=captions,
        paraphrases=paraphrases,
        policies=policies,
        output_format=format,
        card=card,
    )


@app.command(name="import")
def import_(
    source: Annotated[str, typer.Argument(help="A model's folder, or its id on the Hugging Face hub.")],
    bundle: Annotated[Path, typer.Option(help="Where the model bundle goes.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders to compare on; a few dozen are enough.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit, of a hub id.")] = None,
    name: Annotated[str | None, typer.Option(help="The bundle's name.  [default: the source's]")] = None,
) -> None:
    """
    Make a bundle of a CLIP, SigLIP or SigLIP 2 that `transformers` loads.

    Both towers, the resizing and the tokenizer are made to compute what the source's own do; images and texts are then
    encoded by both, and a bundle that differs is refused. Needs the `models` extra.

    Exit codes: 0 written, 2 refused or an error.

    Example: `watchword models import openai/clip-vit-base-patch32 --bundle out/clip-b32 --images samples/images`
    """
    from pipeline.cli.models.import_ import run_import

    run_import(source, bundle, images, revision=revision, name=name)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="Model bundle in use.")],
    new: Annotated[Path, typer.Argument(help="Model bundle that would replace it.")],
    images: Annotated[list[Path] | None, typer.Option(help="Images and folders, without labels.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with labels.csv and policy_labels.yaml: labelled images.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the labelled images.")] = "val",
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[Path | None, typer.Option(help="Also write the flips with their pictures, one HTML file.")] = None,
) -> None:
    """
    Show what a model upgrade changes: every threshold fitted again, and the verdicts that flip all the same.

    With labels a calibrated policy's new threshold is certified for its target anew, and another's keeps its precision;
    without, it keeps how many images are flagged.

    Exit codes: 0 every policy carries over, 1 some must be tuned again, 2 error.

    Example: `watchword models compare pipeline/bundles/caltech-small out/new --data samples --html flips.html`
    """
    from pipeline.cli.models.compare import run_compare

    raise typer.Exit(run_compare(old, new, images or [], data, split, policies, output_format=format, html=html))
