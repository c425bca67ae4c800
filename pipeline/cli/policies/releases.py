"""`watchword policies publish` and what goes with it: which set is in force, and which was."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    note: Annotated[str, typer.Option("--note", "-m", help="Why, for whoever reads the history.")] = "",
    author: Annotated[str | None, typer.Option(help="Who.  [default: the user's name]")] = None,
    parent: Annotated[
        int | None, typer.Option(help="The version this edit was made from.  [default: the one in force]")
    ] = None,
    canary: Annotated[str | None, typer.Option(help="Judge only a share of the images by it, such as `10%`.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only score and count it, beside what is in force.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """
    Put a folder of policies in force for every worker with `WATCHWORD_POLICY_SOURCE=topic`, without a restart.

    Lint and the policies' own examples come first, then what would change, then the question. Someone who published
    meanwhile is not overwritten: the version an edit was made from must still be the one in force. The release is
    printed as JSON.

    Exit codes: 0 in force, 1 lint or an example says no, 2 error.

    Examples: `watchword policies publish policies -m "toys are fine"` ·
    `watchword policies publish policies --canary 10%`
    """
    from pipeline.cli.policies.publish import run_publish

    raise typer.Exit(
        run_publish(folder, note=note, author=author, parent=parent, canary=canary, shadow=shadow, yes=yes)
    )


@app.command()
def history(
    format: Annotated[str, typer.Option(help="`table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    List what was published, the newest first.

    Example: `watchword policies history --format json | jq '.[0].author'`
    """
    from pipeline.cli.policies.publish import run_history

    run_history(format)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A version, a set's digest, `current`, or a folder.")] = "current",
    after: Annotated[str, typer.Argument(help="The same.")] = "policies",
) -> None:
    """
    Say what one policy set means that another does not, policy by policy; without arguments, an edit's own changes.

    Exit codes: 0 they mean the same, 1 they differ, 2 error.

    Examples: `watchword policies diff` · `watchword policies diff 12 current`
    """
    from pipeline.cli.policies.publish import run_diff

    raise typer.Exit(run_diff(before, after))


@app.command()
def rollback(
    release: Annotated[
        str | None, typer.Argument(help="A version or a set's digest.  [default: the set before; or a canary's end]")
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Why, for whoever reads the history.")] = "",
    author: Annotated[str | None, typer.Option(help="Who.  [default: the user's name]")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """
    Put an earlier policy set in force again, as a new version.

    Example: `watchword policies rollback --yes`
    """
    from pipeline.cli.policies.publish import run_rollback

    raise typer.Exit(run_rollback(release, note=note, author=author, yes=yes))


@app.command()
def promote(
    policy: Annotated[str | None, typer.Argument(help="The policy to enforce.  [default: only show shadows]")] = None,
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    against: Annotated[
        str | None, typer.Option(help="The live policy to compare with.  [default: the one it shadows]")
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Why, for whoever reads the history.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """
    Show what shadows said beside what is in force, from the verdicts, and put one in its place.

    With a policy, its file says `mode: enforce` from then on, and is published where workers read the control topic.

    Examples: `watchword policies promote` · `watchword policies promote weapons.firearms`
    """
    from pipeline.cli.policies.promote import run_promote

    raise typer.Exit(run_promote(folder, policy, against=against, note=note, yes=yes))
