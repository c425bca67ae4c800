"""`watchword group leave`."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of


def leave(
    context: typer.Context,
    instance_id: Annotated[str, typer.Argument(help="The stopped worker's WATCHWORD_INSTANCE_ID.")],
) -> None:
    """
    Remove a worker that stopped for good from its group, so that others take over its partitions at once.

    Without it, the partitions wait for WATCHWORD_SESSION_TIMEOUT_S. A worker that still runs rejoins its group.

    Exit codes: 0 the member was removed, 1 the broker failed, 2 the group has no such member.

    Example: `watchword group leave watchword-worker-3`
    """
    from pipeline.cli.console import output
    from pipeline.operations.group.members import leave_group

    session = session_of(context)
    leave_group(session.workbench, instance_id)
    output().print(f"`{instance_id}` has left group `{session.settings.group_id}`")
