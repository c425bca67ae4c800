"""`watchword topics apply`."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted


def apply(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
) -> None:
    """
    Bring the topics to the settings: create missing ones, add partitions, set retention, compaction and size limits.

    The command shows its plan and asks for confirmation. It deletes no topic, removes no partition and lowers no size
    limit. A shorter retention deletes records; more partitions move keys to other partitions. A second run changes
    nothing.

    Exit codes: 0 the topics are as the settings say, 1 not confirmed or the broker failed, 2 a setting is wrong.

    Example: `WATCHWORD_TOPIC_PARTITIONS=12 WATCHWORD_IMAGES_RETENTION_HOURS=72 watchword topics apply`
    """
    from pipeline.cli.console import output
    from pipeline.operations.topics.apply import apply_plan, plan_topics

    workbench, console = session_of(context).workbench, output()
    plan = plan_topics(workbench)
    for line in plan.lines:
        console.print(line)
    if not plan.changes:
        console.print("no change is needed")
        return
    if not yes:
        typer.confirm(f"Change {counted(len(plan.changes), 'topic')}?", abort=True, err=True)
    apply_plan(workbench, plan)
    console.print(f"{counted(len(plan.changes), 'topic')} changed")
