"""`watchword policies rollback`."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of


def rollback(
    context: typer.Context,
    release: Annotated[
        str | None,
        typer.Argument(
            help="Version or digest to return to.  [default: the previous set, or the set without its canary]"
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Reason for the rollback, kept in the history.")] = "",
    author: Annotated[
        str | None, typer.Option(help="Author of the release, kept in the history.  [default: the user's name]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
) -> None:
    """
    Activate an earlier policy set again, as a new version.

    A rollback does not change files: undo the edit in the folder too, or the next `publish` brings it back.

    Example: `watchword policies rollback --yes`
    """
    from pipeline.cli.console import progress_output
    from pipeline.cli.policies.release_output import print_diffs, print_release
    from pipeline.operations.policies.activate import activate
    from pipeline.operations.policies.rollback import prepare_rollback

    workbench, console = session_of(context).workbench, progress_output()
    plan = prepare_rollback(workbench, release, note=note, author=author)
    print_diffs(plan.version, plan.diffs, None, console)
    if not yes:
        typer.confirm(f"Activate the policy set of version {plan.target.version} again?", abort=True, err=True)
    print_release(activate(workbench, plan.request), console)
    console.print(
        "the policy files have not changed: if they still contain the edit that was rolled back, "
        "publishing their folder brings it back"
    )
