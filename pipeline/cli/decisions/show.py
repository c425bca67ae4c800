"""`watchword decisions show`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.cli.times import since_of
from pipeline.extras import models_extra

if TYPE_CHECKING:
    from pipeline.evaluation.decisions.standing import DecisionStats
    from pipeline.operations.decisions.show import DecisionReport

NEVER_FLAGGED = "– (not active when these were judged?)"


def show(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(help="Start of the period: an age (`7d`, `12h`, `2w`) or a date (`2026-11-14`).  [default: all]"),
    ] = None,
    format: Annotated[  # noqa: A002 -- the option's name
        str, typer.Option(help="Output format: `table` of policies, or `jsonl` with every decision.")
    ] = "table",
) -> None:
    """
    Show the precision of each policy from people's decisions, and its recall if images without a flag were audited.

    A policy has no recall if no flag of it was decided: it may not have been active when the images were judged.

    Example: `watchword decisions show --since 30d`
    """
    from pipeline.cli.console import print_line, require_format
    from pipeline.visible import safe_json

    require_format(format, ("table", "jsonl"))
    with models_extra("calibrate"):
        from pipeline.operations.decisions.show import show_decisions

    start = since_of(since) if since is not None else None
    report = show_decisions(session_of(context).workbench, start)
    if format == "jsonl":
        for each in report.decisions:
            print_line(safe_json(each.model_dump_json(exclude_none=True)))
    else:
        _print_table(report)


def _print_table(report: "DecisionReport") -> None:
    from pipeline.cli.console import interval, output, plain_table
    from pipeline.events.decisions import Ruling

    if not report.policies:
        output().print("no decisions yet; `watchword decisions add` and `watchword policies label` record them")
        return
    table = plain_table("policy", *(ruling.value for ruling in Ruling), "precision", "recall")
    for stats in report.policies:
        counts = (str(stats.rulings[ruling]) for ruling in Ruling)
        table.add_row(stats.policy_id, *counts, interval(stats.precision), _recall(stats))
    output().print(table)


def _recall(stats: "DecisionStats") -> str:
    from pipeline.cli.console import interval

    if not stats.ever_flagged:
        return NEVER_FLAGGED
    if stats.recall is None:
        return "no audit"
    return interval(stats.recall.interval) if stats.recall.interval else "unknown"
