"""`watchword policies measure`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.evaluation.replay.score_kinds import PolicyFigures


def measure(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    data: Annotated[Path, typer.Option(help="Folder with labels.csv and policy_labels.yaml.")] = Path("samples"),
    split: Annotated[str, typer.Option(help="Split of the labels to use; keep `test` for final figures.")] = "val",
) -> None:
    """
    Measure each policy on labelled photographs, and suggest the threshold with the best F1.

    Example: `watchword policies measure policies --data samples --split val`
    """
    from pipeline.cli.console import output
    from pipeline.operations.policies.measure import measure_policies
    from pipeline.policies.load import load_policy_set

    figures = measure_policies(session_of(context).workbench, load_policy_set(folder), data, split)
    output().print(_table(figures))


def _table(figures: "list[PolicyFigures]") -> "Table":
    from pipeline.cli.console import plain_table, share

    table = plain_table(
        "policy", "positives", "AP contrast", "AP similarity", "threshold", "suggested", "precision", "recall"
    )
    for each in figures:
        table.add_row(
            each.policy_id,
            str(each.positives),
            f"{each.contrast_ap:.3f}",
            f"{each.similarity_ap:.3f}",
            f"{each.threshold:.2f}",
            f"{each.suggested:.2f}",
            share(each.confusion.precision),
            share(each.confusion.recall),
        )
    return table
