"""`watchword models quantise`, also spelt `quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.models.options import FlipRate, ImageSample, NewBundle, Policies
from pipeline.cli.session import session_of


def quantise(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Model bundle in float32.")],
    bundle: NewBundle,
    images: ImageSample,
    policies: Policies = Path("policies"),
    flip_rate: FlipRate = 0.005,
) -> None:
    """
    Make an int8 engine from a bundle, and check that its verdicts are the same.

    Use a sample of the stream as images: half of them set the scales of the engine, the other half is judged with both
    bundle and engine. An engine that judges differently is refused and deleted. Needs the extra `engines`.

    Exit codes: 0 written, 2 refused or an error.

    Example: `watchword models quantise pipeline/bundles/caltech-small --bundle out/int8 --images samples/images`
    """
    from pipeline.cli.console import output
    from pipeline.cli.models.parity_output import print_parity
    from pipeline.models.engines.parity import Limits
    from pipeline.operations.models.quantise import quantise_model
    from pipeline.policies.load import load_policy_set

    limits, progress = Limits(flip_rate=flip_rate), session_of(context).progress
    quantised = quantise_model(source, bundle, images, load_policy_set(policies), limits, progress)
    print_parity(quantised.parity)
    output().print(f"`{bundle}`: model {quantised.digest}")
