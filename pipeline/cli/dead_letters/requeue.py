"""`watchword dead-letters requeue`."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.dead_letters.options import (
    By,
    DryRun,
    Limit,
    Offsets,
    Origins,
    Partitions,
    Reasons,
    Since,
    Until,
    Yes,
)
from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.operations.dead_letters.plan_requeue import RequeuePlan

SHOWN_REFUSALS = 20


def requeue(
    context: typer.Context,
    origins: Origins = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    partition: Partitions = None,
    offset: Offsets = None,
    limit: Limit = None,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Refuse records that were on the input topic this many times.")
    ] = 3,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Maximum number of records a second.  [default: no limit]")
    ] = None,
    present_time: Annotated[
        bool, typer.Option("--present-time", help="Give records the present time instead of their own timestamp.")
    ] = False,
    by: By = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Reason for the requeue, kept with each dead letter.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Put the records of dead letters back on the input topic, each exactly once.

    The command shows what it would do, and asks for confirmation. A record and the note that its letter was requeued
    are committed in one transaction: after a crash or a kill, run the command again. Repair the cause first, and try a
    few records with `--limit`: a record that still cannot be judged becomes a dead letter again.

    Exit codes: 0 requeued or nothing to requeue, 1 stopped before the end, 2 error.

    Examples: `watchword dead-letters requeue --reason fetch_failed --since 1d --dry-run` ·
    `watchword dead-letters requeue --reason fetch_failed --since 1d --rate 100 --yes`
    """
    from pipeline.cli.dead_letters.options import selection_of
    from pipeline.cli.dead_letters.output import counted_letters
    from pipeline.operations.dead_letters.plan_requeue import RequeueOptions, plan_requeue
    from pipeline.operations.dead_letters.requeue import requeue_letters

    session = session_of(context)
    chosen = selection_of(origins, reason, since, until, partition, offset, limit)
    plan = plan_requeue(session.workbench, chosen, RequeueOptions(max_attempts, rate, present_time, by, note))
    _print_plan(plan)
    if dry_run or not plan.letters:
        return
    if not yes:
        typer.confirm(f"Requeue {counted_letters(len(plan.letters))} to `{plan.topic}`?", abort=True, err=True)
    done = requeue_letters(session.workbench, plan)
    if done.skipped:
        session.progress.notify(f"skipped {counted_letters(done.skipped)}: handled meanwhile, or no longer retained")
    typer.echo(f"{counted_letters(done.requeued)} requeued to {done.topic}")


def _print_plan(plan: "RequeuePlan") -> None:
    from pipeline.cli.console import progress_output
    from pipeline.cli.dead_letters.output import count_reasons, counted_letters, counts_text, size_text

    console = progress_output()
    console.print(f"to requeue to {plan.topic}: {counts_text(count_reasons(plan.letters))}")
    if plan.letters:
        console.print(f"{size_text(plan.size_bytes)} in all")
    for refused in plan.refused[:SHOWN_REFUSALS]:
        console.print(f"refused: {refused.origin}: {refused.why}")
    if len(plan.refused) > SHOWN_REFUSALS:
        causes = Counter(each.why for each in plan.refused[SHOWN_REFUSALS:])
        for why, count in causes.most_common():
            console.print(f"refused: {counted_letters(count)} more: {why}")
