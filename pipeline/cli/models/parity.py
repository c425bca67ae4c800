"""`watchword models parity`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.models.options import FlipRate, ImageSample, Policies
from pipeline.cli.session import session_of


def parity(
    context: typer.Context,
    reference: Annotated[Path, typer.Argument(help="Model bundle that is the reference.")],
    candidate: Annotated[Path, typer.Argument(help="Model bundle of another engine of the same model.")],
    images: ImageSample,
    policies: Policies = Path("policies"),
    flip_rate: FlipRate = 0.005,
    cosine: Annotated[
        float, typer.Option(help="Minimum cosine of an image's two embeddings; 99 of 100 images must reach it.")
    ] = 0.97,
    triton: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Triton server (gRPC) that runs the candidate.  [default: run it here]"),
    ] = None,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Compare two engines of one model: their embeddings and, above all, their verdicts.

    Exit codes: 0 the candidate may be used, 1 it is refused, 2 an error.

    Example: `watchword models parity pipeline/bundles/caltech-small out/int8 --images samples/images`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.models.parity_output import print_result
    from pipeline.models.engines.parity import Limits
    from pipeline.operations.models.parity import compare_engines
    from pipeline.policies.load import load_policy_set

    require_format(format, ("table", "json"))
    workbench = session_of(context).workbench
    found = compare_engines(workbench, reference, candidate, images, load_policy_set(policies), triton=triton)
    refusals = found.refusals(Limits(flip_rate=flip_rate, cosine=cosine))
    print_result(found, refusals, format)
    raise typer.Exit(int(bool(refusals)))
