"""`watchword dead-letters drop`."""

from typing import Annotated

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


def drop(
    context: typer.Context,
    note: Annotated[str, typer.Option("--note", "-m", help="Why, kept with each dead letter as the record of this.")],
    origins: Origins = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    partition: Partitions = None,
    offset: Offsets = None,
    limit: Limit = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back earlier drops: the dead letters are open again.")
    ] = False,
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """
    Record that dead letters will not be judged: who decided it, when and why.

    A dropped letter is listed with `--all` only, and is not requeued. Nothing is deleted: the letter stays on its topic
    as long as this retains it, and the record of the drop stays for good.

    Examples: `watchword dead-letters drop --reason empty --note "test traffic, ticket 1234"` ·
    `watchword dead-letters drop images/0/12 --undo --note "dropped by mistake"`
    """
    from pipeline.cli.console import progress_output
    from pipeline.cli.dead_letters.options import selection_of
    from pipeline.cli.dead_letters.output import count_reasons, counted_letters, counts_text
    from pipeline.operations.dead_letters.drop import drop_letters, plan_drop

    session = session_of(context)
    chosen = selection_of(origins, reason, since, until, partition, offset, limit)
    plan = plan_drop(session.workbench, chosen, undo=undo)
    progress_output().print(f"{'to restore' if undo else 'to drop'}: {counts_text(count_reasons(plan.letters))}")
    if dry_run or not plan.letters:
        return
    if not yes:
        typer.confirm(f"{'Restore' if undo else 'Drop'} {counted_letters(len(plan.letters))}?", abort=True, err=True)
    done = drop_letters(session.workbench, plan, note, by)
    typer.echo(f"{counted_letters(done)} {'restored' if undo else 'dropped'}")
