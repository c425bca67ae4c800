"""`watchword policies publish`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import Session, session_of

if TYPE_CHECKING:
    from pipeline.operations.policies.publish import PublishOptions, ReleasePlan


def publish(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of policy files.")] = Path("policies"),
    note: Annotated[str, typer.Option("--note", "-m", help="Reason for the release, kept in the history.")] = "",
    author: Annotated[
        str | None, typer.Option(help="Author of the release, kept in the history.  [default: the user's name]")
    ] = None,
    parent: Annotated[
        int | None, typer.Option(help="Version that this edit was made from.  [default: the current one]")
    ] = None,
    canary: Annotated[
        str | None, typer.Option(help="Share of the images that the set judges as a canary, for example `10%`.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Publish a shadow set, which is scored and counted but flags nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="HTML page to write as well, with pictures of archived images whose flags change."),
    ] = None,
) -> None:
    """
    Activate a folder of policies for every worker with `WATCHWORD_POLICY_SOURCE=topic`, without a restart.

    The command runs lint and the policies' examples, shows the changes, and asks for confirmation. If embeddings are
    archived, it also shows the flags that would have changed in the last 7 days. It fails if someone else has published
    meanwhile: the version that the edit was made from must still be the current one. The release is printed as JSON.

    Exit codes: 0 the set is active, 1 a lint error or a failed example prevents it, 2 an error.

    Examples: `watchword policies publish policies -m "toys are fine"` ·
    `watchword policies publish policies --canary 10%`
    """
    from pipeline.cli.percent import share_of
    from pipeline.operations.policies.publish import PublishOptions
    from pipeline.reports.page import THUMBNAIL_SIDE

    options = PublishOptions(
        note=note,
        author=author,
        parent=parent,
        canary_share=share_of(canary, "--canary") if canary else None,
        shadow=shadow,
        picture_side=THUMBNAIL_SIDE if html is not None else None,
    )
    raise typer.Exit(publish_folder(session_of(context), folder, options, yes=yes, html=html))


def publish_folder(
    session: Session, folder: Path, options: "PublishOptions", *, yes: bool, html: Path | None = None
) -> int:
    """Plan a release, show it, ask, and activate it; return the exit code."""
    from pipeline.cli.console import progress_output
    from pipeline.cli.policies.release_output import print_rejection, print_release
    from pipeline.operations.policies.activate import activate
    from pipeline.operations.policies.publish import prepare_release

    plan, console = prepare_release(session.workbench, folder, options), progress_output()
    if plan.forbidden:
        print_rejection(plan, console)
        return 1
    if plan.request is None:
        console.print(f"version {plan.version} already means this; nothing to publish")
        return 0
    _show(plan, options, html)
    if not yes:
        typer.confirm("Activate this policy set?", abort=True, err=True)
    print_release(activate(session.workbench, plan.request), console)
    return 0


def _show(plan: "ReleasePlan", options: "PublishOptions", html: Path | None) -> None:
    from pipeline.cli.console import progress_output
    from pipeline.cli.policies.release_output import print_diffs, print_evidence, print_look_back

    console = progress_output()
    print_diffs(plan.version, plan.diffs, options.canary_share, console)
    print_evidence(plan.without_evidence, console)
    print_look_back(plan, console)
    if html is None:
        return
    if plan.look_back is None:
        console.print(f"`{html}` is not written: the archive has no images to judge")
        return
    from pipeline.reports.backtest import write_backtest_gallery

    write_backtest_gallery(html, plan.look_back.changed_images, about=f"A release after version {plan.version}.")
