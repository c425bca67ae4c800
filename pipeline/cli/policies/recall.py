"""`watchword policies recall`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.session import session_of


def recall(
    context: typer.Context,
    labels: Annotated[
        Path, typer.Argument(help="Labelled stream: every flagged image, and the images sampled for an audit.")
    ],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    split: Annotated[str | None, typer.Option(help="Split of the labels to use.  [default: all]")] = None,
) -> None:
    """
    Estimate recall, with an interval, from flags and an audit of images that were not flagged.

    With `audit: { per_day: 200 }` in a policy, workers sample images below its threshold for review. Copy the
    probability of each one from its verdict to the column `probability`. The labels must contain every image that any
    of the labelled policies flagged. With fewer than ten misses found, the answer is "unknown".

    Example: `watchword policies recall audited.csv`
    """
    from pipeline.cli.console import interval, output, plain_table
    from pipeline.extras import models_extra
    from pipeline.policies.load import load_policy_set

    with models_extra("calibrate"):
        from pipeline.operations.policies.recall import measure_recall

    table = plain_table("policy", "right flags", "misses found", "audited", "recall")
    for each in measure_recall(session_of(context).workbench, load_policy_set(folder), labels, split):
        found = each.recall
        shown = interval(found.interval) if found.interval else "unknown"
        table.add_row(each.policy_id, f"{found.hits:.0f}", str(found.misses), str(each.audited), shown)
    output().print(table)
