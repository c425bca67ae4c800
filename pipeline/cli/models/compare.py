"""`watchword models compare`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.models.options import Policies
from pipeline.cli.session import session_of


def compare(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(help="Current model bundle.")],
    new: Annotated[Path, typer.Argument(help="New model bundle.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image, or folder of images, without labels (repeatable): `--images A --images B`."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of labelled images, with labels.csv and policy_labels.yaml.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the labelled images.")] = "val",
    policies: Policies = Path("policies"),
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[
        Path | None, typer.Option(help="HTML page to write as well, with pictures of the changed verdicts.")
    ] = None,
) -> None:
    """
    Show the effects of a model upgrade: refitted thresholds, and verdicts that change nevertheless.

    With labels, the new threshold of a calibrated policy is certified for its target, and the threshold of any other
    policy keeps its precision. Without labels, the new threshold keeps the number of flagged images.

    Exit codes: 0 every policy can be kept with its new threshold, 1 some must be tuned again, 2 an error.

    Example: `watchword models compare pipeline/bundles/caltech-small out/new --data samples --html flips.html`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.models.compare_output import print_comparison, write_flips
    from pipeline.operations.models.compare import ComparisonRequest, compare_bundles
    from pipeline.policies.load import load_policy_set

    require_format(format, ("table", "json"))
    request = ComparisonRequest(old, new, tuple(images or ()), data, split)
    comparison = compare_bundles(session_of(context).workbench, request, load_policy_set(policies))
    print_comparison(comparison, format)
    if html is not None:
        write_flips(html, comparison)
    raise typer.Exit(int(any(change.retune for change in comparison.changes)))
