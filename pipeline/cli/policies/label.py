"""`watchword policies label`."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.evaluation.labelling.session import LabellingSession
    from pipeline.evaluation.stats.stratified_sample import Stratum
    from pipeline.operations.workbench import Workbench


def label(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="Id of the policy to label images for, edited or active.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    before: Annotated[
        str | None, typer.Option(help="Policy set to compare the edit with.  [default: the active one, if any]")
    ] = None,
    since: Annotated[str, typer.Option(help="Start of the period: `7d`, `12h`, `2w` ago, or a day.")] = "7d",
    count: Annotated[int, typer.Option(min=1, help="Number of images to draw. You may stop at any time.")] = 300,
    out: Annotated[Path | None, typer.Option(help="File for the decisions.  [default: a new one here]")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Name of the person who decides.  [default: you]")] = None,
    port: Annotated[int, typer.Option(help="Port of the page, on this machine only.  [default: a free one]")] = 0,
    seed: Annotated[
        int, typer.Option(help="Random seed for choosing the images; the same seed gives the same sample.")
    ] = 1,
) -> None:
    """
    Label a sample of archived images on a web page, by keyboard, and measure a policy or an edit of it.

    The sample is drawn by score, most of all among images that the edit flips; each answer is weighted by its image's
    chance to be drawn. A picture is sent to the page only when you ask for it. Pictures come from their records or from
    the addresses in those, for as long as they are available. Decisions are written to a file after each answer, and
    sent to the decisions' topic when you finish.

    Example: `watchword policies label weapons.firearms --policies edited --since 30d`
    """
    from pipeline.cli.times import since_of
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.operations.policies.label import LabelRequest, open_labelling

    workbench = session_of(context).workbench
    wanted = LabelRequest(policy, folder, before, since_of(since), count, seed, out, reviewer)
    with open_labelling(workbench, wanted) as task:
        title = f"{task.policy.title} ({task.policy.id})"
        _serve(task.session, port, title, _about(task.strata, since, task.precision))
    _close(workbench, task.session)


def _about(strata: "list[Stratum]", since: str, precision: float) -> str:
    from pipeline.counted import counted
    from pipeline.evaluation.stats.stratified_sample import Kind

    drawn, images = sum(len(each.drawn) for each in strata), sum(len(each.members) for each in strata)
    flips = sum(len(each.members) for each in strata if each.kind in (Kind.NEWLY_FLAGGED, Kind.NEWLY_CLEARED))
    edit = f"; the edit flips {flips}" if flips else ""
    sample = f"{drawn} of {counted(images, 'image')} since {since}"
    return f"{sample}{edit}. A threshold is wanted with precision {precision:g}."


def _serve(session: "LabellingSession", port: int, title: str, about: str) -> None:
    from pipeline.cli.console import progress_output
    from pipeline.signals import on_stop
    from pipeline.studio.label_server import LabelServer

    with closing(LabelServer(session, title=title, about=about, port=port)) as server:
        on_stop(server.finished.set)
        progress_output().print(f"label at {server.address}", soft_wrap=True)
        server.finished.wait()


def _close(workbench: "Workbench", session: "LabellingSession") -> None:
    from pipeline.cli.console import output
    from pipeline.counted import counted
    from pipeline.evaluation.labelling.session import Answer
    from pipeline.operations.decisions.topic import send_decisions
    from pipeline.studio.label_figures import figures

    console, found = output(), session.decisions()
    for name, text in figures(session.findings()):
        console.print(f"{name}: {text}")
    if not found:
        console.print("nothing was decided")
        return
    send_decisions(workbench, found)
    unsure = session.count(Answer.UNSURE)
    console.print(f"{counted(len(found), 'decision')} sent, and written to {session.file}; unsure about {unsure}")
