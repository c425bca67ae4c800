"""`watchword policies diff`."""

from typing import Annotated

import typer

from pipeline.cli.session import session_of


def diff(
    context: typer.Context,
    before: Annotated[
        str, typer.Argument(help="First set: a version, the digest of a set, `current`, or a folder.")
    ] = "current",
    after: Annotated[str, typer.Argument(help="Second set, in the same form.")] = "policies",
) -> None:
    """
    Show the differences between two policy sets, policy by policy.

    Without arguments it compares the folder `policies` with the active set.

    Exit codes: 0 both sets mean the same, 1 they differ, 2 an error.

    Examples: `watchword policies diff` · `watchword policies diff 12 current`
    """
    from pipeline.cli.console import Lines, output
    from pipeline.cli.policies.release_output import diff_text
    from pipeline.operations.policies.diff import compare_policy_sets

    diffs = compare_policy_sets(session_of(context).workbench, before, after)
    output().print(Lines(diff_text(diffs)))
    raise typer.Exit(int(bool(diffs)))
