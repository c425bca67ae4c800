"""`watchword policies promote`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import Session, session_of

if TYPE_CHECKING:
    from pipeline.evaluation.backtest.shadow_counts import ShadowCount
    from pipeline.operations.policies.promote import Promotion


def promote(
    context: typer.Context,
    policy: Annotated[
        str | None, typer.Argument(help="Id of the policy to enforce.  [default: only show shadows]")
    ] = None,
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    against: Annotated[
        str | None, typer.Option(help="Live policy to compare with, by id.  [default: the one it shadows]")
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="Reason for the release, kept in the history.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
) -> None:
    """
    Compare the verdicts of shadow policies with those of live ones, and enforce one.

    With the id of a policy, the command asks for confirmation and writes `mode: enforce` to that policy's file. If
    workers read the control topic, it then publishes the folder.

    Examples: `watchword policies promote` · `watchword policies promote weapons.firearms`
    """
    from pipeline.operations.policies.promote import compare_shadows, prepare_promotion

    session = session_of(context)
    report = compare_shadows(session.workbench, folder, policy, against)
    _print(report.counts)
    if policy is None:
        return
    _enforce(prepare_promotion(report, folder, policy), yes=yes)
    if session.settings.policy_source != "folder":
        raise typer.Exit(_publish(session, folder, note or f"promote {policy}", yes=yes))


def _enforce(promotion: "Promotion", *, yes: bool) -> None:
    from pipeline.cli.console import progress_output
    from pipeline.operations.policies.promote import enforce
    from pipeline.visible import one_line

    if not promotion.needs_edit:
        return
    if not yes:
        typer.confirm(f"Write `mode: enforce` into {one_line(promotion.file)}?", abort=True, err=True)
    enforce(promotion)
    progress_output().print(f"{promotion.file}: `mode: enforce`")


def _publish(session: Session, folder: Path, note: str, *, yes: bool) -> int:
    from pipeline.cli.policies.publish import publish_folder
    from pipeline.operations.policies.publish import PublishOptions

    return publish_folder(session, folder, PublishOptions(note=note), yes=yes)


def _print(counts: "Sequence[ShadowCount]") -> None:
    from pipeline.cli.console import interval, output, plain_table

    console = output()
    table = plain_table("shadow", "against", "images", "flags", "live flags", "newly flagged", "newly cleared")
    for each in counts:
        live = interval(each.live_share) if each.against else "–"
        shares = (interval(each.shadow_share), live)
        numbers = (str(each.newly_flagged), str(each.newly_cleared))
        table.add_row(each.shadow, each.against or "–", str(each.images), *shares, *numbers)
    console.print(table)
    for each in counts:
        for kind, ids in (("newly flagged", each.examples_flagged), ("newly cleared", each.examples_cleared)):
            if ids:
                console.print(f"{each.shadow}, {kind}, highest margins first: {', '.join(ids)}")
