"""`watchword models train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.session import session_of

# The types of pipeline.operations.models.train, which is imported when the command runs.
TextSource = Literal["captions", "sentences", "pairs"]


def train(
    context: typer.Context,
    data: Annotated[
        Path, typer.Argument(help="Folder with labels.csv (file, split, and category or caption) and the images.")
    ],
    bundle: Annotated[Path, typer.Option(help="Folder of the new model bundle.")],
    captions: Annotated[
        Path | None,
        typer.Option(help="Caption table with categories, groups and templates.  [default: the shipped table]"),
    ] = None,
    text: Annotated[
        TextSource,
        typer.Option(
            help="Source of the text tower: `captions`, the caption table; `sentences`, the table and a sentence "
            "encoder; `pairs`, the column `caption` of labels.csv."
        ),
    ] = "captions",
    runs: Annotated[Path, typer.Option(help="Folder for states and metrics of the runs.")] = Path(".watchword/train"),
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Duration of all runs together, in minutes of processor time of a rank. On a busy machine, the runs "
            "take longer by the clock.  [default: 79, or 85 with `sentences`]",
        ),
    ] = None,
    ranks: Annotated[
        int,
        typer.Option(
            min=1, help="Number of processes with one thread each. Under `torchrun`, its number of processes counts."
        ),
    ] = 2,
    batch: Annotated[
        int | None,
        typer.Option(min=2, help="Number of images in a step of each rank.  [default: 96, or 64 with `sentences`]"),
    ] = None,
    micro_batch: Annotated[
        int,
        typer.Option(
            min=0,
            help="With `pairs`: number of images computed at once, to save memory. The loss covers the batches of all "
            "ranks. 0 computes the whole batch at once.",
        ),
    ] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the bundle.  [default: its folder's name]")] = None,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Continue interrupted runs.")] = False,
) -> None:
    """
    Train a CLIP on labelled photographs and write a bundle with its card.

    With `--text sentences` the text tower is distilled from a sentence encoder and the image tower is tuned to it, so
    that policies may use words that no caption has. `make training` installs that encoder. Under `torchrun`, on GPUs or
    CPUs, its processes are the ranks.

    Example: `watchword models train photographs --bundle out/mine`
    """
    from pipeline.cli.console import progress_output
    from pipeline.operations.models.train import TrainingRequest, train_model

    request = TrainingRequest(
        data=data,
        bundle=bundle,
        runs=runs,
        text=text,
        captions=captions,
        minutes=minutes,
        ranks=ranks,
        batch=batch,
        micro_batch=micro_batch,
        name=name,
        resume=resume,
    )
    trained = train_model(request, session_of(context).progress)
    for split, figures in ({} if trained is None else trained.figures).items():
        progress_output().print(f"{split}: {figures}")
