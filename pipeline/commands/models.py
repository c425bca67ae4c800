"""`watchword models`: bundles made, brought in, measured, compared, and turned into engines."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.extras import models_extra

# As in pipeline.models, which is imported only when it is run: it brings torch and onnx.
TextSource = Literal["captions", "sentences", "pairs"]
Target = Literal["cpu", "onnx", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "int8"]

app = typer.Typer(
    help="Train, import, measure and compare models, and build engines of them (extras `models` and `engines`).",
    no_args_is_help=True,
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
        typer.Option(
            help="`captions`: both towers learn from the table's; `sentences`: from a sentence encoder as well; "
            "`pairs`: from a column `caption` of labels.csv."
        ),
    ] = "captions",
    runs: Annotated[Path, typer.Option(help="Where states and metrics of the runs go.")] = Path(".watchword/train"),
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="How long to train in all, in processor time of a rank.  [default: 85 or 79]"),
    ] = None,
    ranks: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    batch: Annotated[int | None, typer.Option(min=2, help="Images a step, of each rank.  [default: 96]")] = None,
    micro_batch: Annotated[
        int, typer.Option(min=0, help="Pairs computed at once; the loss is still over all ranks' batches. 0: all.")
    ] = 0,
    name: Annotated[str, typer.Option(help="The bundle's name.")] = "caltech-small",
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with runs that were interrupted.")] = False,
) -> None:
    """
    Train a CLIP on labelled photographs and write a bundle with its card.

    With `--text sentences` the text tower is distilled from a sentence encoder and the image tower tuned to it, so
    that policies may use words no caption has. `make training` installs that encoder. Under `torchrun`, on GPUs or
    CPUs, its processes are the ranks.

    Example: `watchword models train ../shared/data/caltech101 --bundle out/caltech-small --minutes 79`
    """
    with models_extra():
        from pipeline.models.captions import BUNDLED_TABLE, Captions
        from pipeline.models.training.bundled import BUNDLED, train_bundle

    plan = BUNDLED[text]
    plan = plan.within(minutes or plan.minutes, ranks).batched(batch, micro_batch)
    train_bundle(data, Captions.load(captions or BUNDLED_TABLE), bundle, runs, name=name, plan=plan, resume=resume)


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
        Path | None, typer.Option(help="Also write the figures to this file and, as JSON, beside it.")
    ] = None,
) -> None:
    """
    Measure bundles on labelled images: what they tell apart, what confuses them, and whom they treat differently.

    Zero-shot top-1 and top-5, average precision of each category and of paraphrases as text policies, retrieval,
    calibration, the shape of the space, images as uploads mangle them, slices, and counterfactual prompts that name
    people.

    Example: `watchword models evaluate pipeline/bundles/caltech-small --data samples --card out/card.md`
    """
    from pipeline.commands.evaluate import run_evaluate

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

    Example: `watchword models import openai/clip-vit-base-patch32 --bundle out/clip-b32 --images samples/images`
    """
    from pipeline.commands.importing import run_import

    run_import(source, bundle, images, revision=revision, name=name)


@app.command()
def parity(
    reference: Annotated[Path, typer.Argument(help="Model bundle that is right by definition.")],
    candidate: Annotated[Path, typer.Argument(help="Another engine of the same model.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders to judge with both.")],
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
    cosine: Annotated[float, typer.Option(help="Least cosine of the lowest hundredth of embeddings.")] = 0.97,
    triton: Annotated[
        str | None, typer.Option(help="HOST:PORT of a Triton (gRPC) that serves the candidate: it is asked, then.")
    ] = None,
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Compare two engines of one model by their embeddings and, above all, by the verdicts that flip.

    Exit codes: 0 the candidate may be used, 1 it is refused, 2 error.

    Example: `watchword models parity pipeline/bundles/caltech-small out/int8 --images samples/images`
    """
    from pipeline.commands.parity import run_parity
    from pipeline.models.engines.parity import Limits

    limits = Limits(flip_rate=flip_rate, cosine=cosine)
    raise typer.Exit(run_parity(reference, candidate, images, policies, limits, triton=triton, output_format=format))


@app.command()
def quantise(
    source: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    bundle: Annotated[Path, typer.Option(help="Where the int8 bundle goes.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders: a sample of the stream.")],
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
) -> None:
    """
    Make an int8 engine of a bundle, its scales fixed from half of the images and its verdicts checked on the others.

    An engine that judges differently is refused, and nothing is left of it. Needs the `engines` extra.

    Example: `watchword models quantise pipeline/bundles/caltech-small --bundle out/int8 --images samples/images`
    """
    from pipeline.commands.parity import run_quantise
    from pipeline.models.engines.parity import Limits

    run_quantise(source, bundle, images, policies, Limits(flip_rate=flip_rate))


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    target: Annotated[Target, typer.Option(help="What computes the image tower behind Triton.")],
    repository: Annotated[Path, typer.Option(help="Where the model repository goes: a new folder.")],
    images: Annotated[list[Path], typer.Option(help="Images and folders: a sample of the stream, to judge with both.")],
    precision: Annotated[
        Precision | None, typer.Option(help="[default: fp16 for tensorrt and tensorrt-rtx, else fp32]")
    ] = None,
    policies: Annotated[Path, typer.Option(help="Folder of policy files.")] = Path("policies"),
    batch: Annotated[str, typer.Option(help="Smallest, typical and largest batch.")] = "1,32,64",
    instances: Annotated[int | None, typer.Option(min=1, help="Copies, on each GPU.  [default: 2, on a GPU 1]")] = None,
    gpu: Annotated[list[int] | None, typer.Option(help="GPUs to run on, for onnx and tensorrt.")] = None,
    queue_delay_us: Annotated[int, typer.Option(min=0, help="How long Triton waits to join requests, in µs.")] = 500,
    capability: Annotated[
        list[str] | None, typer.Option(help="Compute capabilities to build for, as SM89.  [default: the builder's]")
    ] = None,
    flip_rate: Annotated[float, typer.Option(help="Share of images whose verdict by a policy may change.")] = 0.005,
) -> None:
    """
    Write a Triton model repository whose engine judges as the bundle does.

    Half of the images fix what an int8 engine needs, the other half is judged by bundle and engine; one that judges
    differently is refused. Policy texts are always encoded in float32. Workers of the repository get
    WATCHWORD_MODEL=REPOSITORY/clip_image/bundle. Needs the extra `engines`, and for tensorrt-rtx that of its name.

    Examples: `watchword models build out/clip-b32 --target cpu --precision int8 --repository out/cpu --images samples`

    `watchword models build out/clip-b32 --target tensorrt --gpu 0 --gpu 1 --repository out/gpu --images samples`
    """
    from pipeline.commands.build import run_build

    run_build(
        bundle,
        repository,
        images,
        policies,
        target=target,
        precision=precision,
        batch=batch,
        instances=instances,
        gpus=tuple(gpu or ()),
        queue_delay_us=queue_delay_us,
        capabilities=tuple(capability or ()),
        flip_rate=flip_rate,
    )


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

    With labels a policy's new threshold keeps its precision; without, it keeps how many images are flagged.

    Exit codes: 0 every policy carries over, 1 some must be tuned again, 2 error.

    Example: `watchword models compare pipeline/bundles/caltech-small out/new --data samples --html flips.html`
    """
    from pipeline.commands.compare import run_compare

    raise typer.Exit(run_compare(old, new, images or [], data, split, policies, output_format=format, html=html))
