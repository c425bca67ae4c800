"""`watchword replay`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.session import session_of
from pipeline.cli.times import time_of


def replay(
    context: typer.Context,
    stream: Annotated[
        str, typer.Argument(help="Labelled stream: a CSV or JSON Lines file, a folder, or a topic, `kafka:images`.")
    ],
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.  [default: policies]")] = None,
    through: Annotated[
        Literal["process", "kafka"], typer.Option(help="Where to judge: this process, or broker and Triton.")
    ] = "process",
    labels: Annotated[
        Path | None, typer.Option(help="For a topic: CSV with the columns `id` (of the event) and `policies`.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="For a topic: start of the period, a date or a time such as `2026-11-14T06:00`.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="For a topic: end of the period.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the labels to use; keep `test` for final figures.  [default: all]")
    ] = None,
    slice: Annotated[  # noqa: A002 -- the option's name
        list[str] | None,
        typer.Option(help="Attribute whose values get separate figures (repeatable)."),
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Earlier replay to compare with: a file from `--save`.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="File to write this replay to, as a baseline for later ones.")
    ] = None,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[
        Path | None, typer.Option(help="HTML page to write as well, with curves and pictures of the worst errors.")
    ] = None,
) -> None:
    """
    Measure policies on a labelled stream, with intervals, and report policies that got worse.

    A row has an `image` and `policies`, the ids of the policies that should flag it; other columns are attributes of
    the event. A policy is worse than its baseline if chance does not explain the change: misses and false alarms are
    compared with McNemar's test, precision with a paired bootstrap. `--through kafka` sends the stream through the
    broker and Triton named in the settings, on temporary topics.

    Exit codes: 0 done, 1 a policy is worse than the baseline, 2 an error.

    Examples: `watchword replay samples --split val --save before.json` ·
    `watchword replay samples --split val --baseline before.json` ·
    `watchword replay kafka:images --labels decided.csv --since 2026-11-14`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.stream.replay_output import print_report, save_baseline
    from pipeline.cli.stream.replay_page import write_replay_page
    from pipeline.operations.stream.replay import ReplayRequest
    from pipeline.operations.stream.replay import replay as run_replay
    from pipeline.reports.page import THUMBNAIL_SIDE

    require_format(format, ("table", "json"))
    request = ReplayRequest(
        stream,
        policies,
        through,
        split,
        labels,
        time_of(since, "--since"),
        time_of(until, "--until"),
        tuple(slice or ()),
        baseline,
        THUMBNAIL_SIDE if html else 0,
    )
    report = run_replay(session_of(context).workbench, request)
    print_report(report, format)
    if html is not None:
        write_replay_page(html, report)
    if save is not None:
        save_baseline(save, report)
    raise typer.Exit(1 if report.worse else 0)
