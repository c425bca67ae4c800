"""`watchword policies calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.session import session_of


def calibrate(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="Id of the policy, or of a child policy.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    labels: Annotated[Path | None, typer.Option(help="Labelled stream: CSV or JSON Lines, as for `replay`.")] = None,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Use people's decisions about archived images as labels.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Split of the labels to use.  [default: all]")] = None,
    base_rate: Annotated[
        float | None,
        typer.Option(help="Share of the stream that should be flagged, for labels without `probability`."),
    ] = None,
    watched: Annotated[
        bool,
        typer.Option(
            "--sequential", "--watched", help="Use a test that stays valid when you fit again as labels are added."
        ),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(help="For a queue: folder with a sample of the stream.  [default: the embeddings' topic]"),
    ] = None,
    per_day: Annotated[float | None, typer.Option(help="For a queue: number of images per day in the stream.")] = None,
) -> None:
    """
    Fit a threshold to the target in its policy, and write it to a file next to the policy, with the evidence.

    The target `threshold: { precision: 0.95, confidence: 0.95 }` needs labels. The result is the lowest threshold for
    which the labels show this precision. Near-duplicates count once, and the confidence accounts for the search. With
    `--decisions`, the labels are people's decisions, scores come from archived embeddings, and no image is needed.

    The target `threshold: { queue: 200/day }` needs images without labels.

    The calibration contains the digests of its inputs. If the prompts, the model, the target or the labels change,
    workers and `lint` report it, and the threshold counts as provisional.

    Exit codes: 0 written, 1 the labels do not support a threshold, 2 an error.

    Examples: `watchword policies calibrate weapons.firearms --labels labels.csv --base-rate 0.001` ·
    `watchword policies calibrate weapons.firearms --decisions` ·
    `watchword policies calibrate weapons.firearms --images uploads --per-day 20000`
    """
    from pipeline.cli.console import output
    from pipeline.cli.policies.calibrate_output import lines
    from pipeline.extras import models_extra

    with models_extra("calibrate"):
        from pipeline.operations.policies.calibrate import CalibrationRequest, fit_threshold
        from pipeline.operations.policies.calibrate_precision import PrecisionRefusal

    request = CalibrationRequest(
        folder,
        policy,
        labels=labels,
        decisions=decisions,
        split=split,
        base_rate=base_rate,
        sequential=watched,
        images=images,
        images_per_day=per_day,
    )
    result = fit_threshold(session_of(context).workbench, request)
    for line in lines(result):
        output().print(line)
    raise typer.Exit(int(isinstance(result, PrecisionRefusal)))
