"""`watchword policies label`."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.evaluation.labelling.session import LabellingSession
    from pipeline.operations.policies.label import LabellingTask
    from pipeline.operations.workbench import Workbench


def label(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="Id of the policy to label images for, edited or active.")],
    folder: Annotated[Path, typer.Option("--policies", help="Folder of policy files.")] = Path("policies"),
    before: Annotated[
        str | None, typer.Option(help="Policy set to compare the edit with.  [default: the active set, if any]")
    ] = None,
    since: Annotated[
        str, typer.Option(help="Start of the period: an age (`7d`, `12h`, `2w`) or a date (`2026-11-14`).")
    ] = "7d",
    count: Annotated[int, typer.Option(min=1, help="Number of new images to draw. You may stop at any time.")] = 300,
    out: Annotated[Path | None, typer.Option(help="File for the decisions.  [default: a new one here]")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Name of the person who decides.  [default: you]")] = None,
    port: Annotated[int, typer.Option(help="Port of the page, on this machine only.  [default: a free one]")] = 0,
    seed: Annotated[
        int, typer.Option(help="Random seed for choosing the images; the same seed gives the same sample.")
    ] = 1,
) -> None:
    """
    Label a sample of archived images on a web page, by keyboard, and measure a policy or an edit of it.

    Images whose flag the edit changes, and images near the threshold, are sampled more often than others. Each answer
    is weighted by 1 ÷ the probability with which its image was sampled. Images with an earlier decision are not sampled
    again; their decisions count as labels. A picture is sent to the page only when you ask for it. Pictures come from
    the input records, or from the addresses in them, as long as these are available. Decisions are written to a file
    after each answer, and sent to the decisions' topic when you finish.

    Example: `watchword policies label weapons.firearms --policies edited --since 30d`
    """
    from pipeline.cli.console import progress_output
    from pipeline.cli.times import since_of
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.cli.policies.label_output import earlier_text, sample_text
        from pipeline.operations.policies.label import LabelRequest, open_labelling

    workbench = session_of(context).workbench
    wanted = LabelRequest(policy, folder, before, since_of(since), count, seed, out, reviewer)
    with open_labelling(workbench, wanted) as task:
        earlier = earlier_text(task.earlier)
        if earlier:
            progress_output().print(earlier, soft_wrap=True)
        about = f"{sample_text(task.strata, since, task.precision)} {earlier}".rstrip()
        _serve(task, port, about, wanted.next_command)
    _close(workbench, task.session, wanted.next_command)


def _serve(task: "LabellingTask", port: int, about: str, next_command: str) -> None:
    from pipeline.cli.console import progress_output
    from pipeline.signals import on_stop
    from pipeline.studio.label_server import LabelServer, Words

    server = LabelServer(
        task.session,
        title=f"{task.policy.title} ({task.policy.id})",
        about=about,
        words=Words(task.policy.rationale, task.policy.prompts, task.policy.contrast),
        next_command=next_command,
        port=port,
    )
    with closing(server):
        on_stop(server.finished.set)
        progress_output().print(f"label at {server.address}", soft_wrap=True)
        server.finished.wait()


def _close(workbench: "Workbench", session: "LabellingSession", next_command: str) -> None:
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
    console.print(f"next: {next_command}")
