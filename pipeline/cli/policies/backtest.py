"""`watchword policies backtest`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import Session, session_of

if TYPE_CHECKING:
    from pipeline.events.policies import PolicySet
    from pipeline.operations.policies.backtest import BacktestRequest, BacktestResult


def backtest(
    context: typer.Context,
    after: Annotated[
        str, typer.Argument(help="Edited set: a folder, a version, the digest of a set, or `current`.")
    ] = "policies",
    before: Annotated[str, typer.Option(help="Set to compare with, in the same form.")] = "current",
    since: Annotated[
        str, typer.Option(help="Start of the period: an age (`7d`, `12h`, `2w`) or a date (`2026-11-14`).")
    ] = "7d",
    sample: Annotated[
        str | None, typer.Option(help="Share of the images for a first estimate, for example `1%`.")
    ] = None,
    only_sample: Annotated[bool, typer.Option("--only-sample", help="Stop after the estimate.")] = False,
    decisions: Annotated[bool, typer.Option("--decisions", help="Compare both sets with people's decisions.")] = False,
    engine: Annotated[
        str,
        typer.Option(help="What runs the work: `threads`, `daft`, `ray`, or a Ray cluster `ray://host:port`."),
    ] = "threads",
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
    html: Annotated[
        Path | None,
        typer.Option(help="HTML page to write as well, with pictures of the newly flagged and newly cleared images."),
    ] = None,
) -> None:
    """
    Judge archived images with two policy sets, and show newly flagged and newly cleared images and the flags per day.

    With `--decisions`, each decision is weighted by 1 ÷ the probability with which its image was sampled. A newly
    flagged image without a decision counts as undecided, not as wrong.

    Exit codes: 0 no flag would have changed, 1 some would, 2 an error.

    Examples: `watchword policies backtest policies --since 7d` ·
    `watchword policies backtest edited --before policies --sample 1%`
    """
    from pipeline.cli.console import require_format
    from pipeline.cli.times import since_of
    from pipeline.errors import UsageError
    from pipeline.extras import models_extra
    from pipeline.reports.page import THUMBNAIL_SIDE

    require_format(format, ("table", "json"))
    share = _share(sample, only_sample=only_sample)
    with models_extra("archive"):
        from pipeline.operations.policies.backtest import BacktestRequest, require_engine
    require_engine(engine)
    session = session_of(context)
    request = BacktestRequest(
        *_sets(session, before, after),
        since_of(since),
        engine=engine,
        decisions=decisions,
        picture_side=None if html is None else THUMBNAIL_SIDE,
    )
    result = _run(session, request, share, only_sample=only_sample, output_format=format)
    if not result.found.images:
        raise UsageError(f"the archive has no images of this model since {since}")
    if html is not None:
        _write_page(html, result, f"Back-test of {after} against {before} since {since}.")
    raise typer.Exit(int(bool(result.found.changed)))


def _share(sample: str | None, *, only_sample: bool) -> float | None:
    from pipeline.cli.percent import share_of
    from pipeline.errors import UsageError

    if sample is None and only_sample:
        raise UsageError("`--only-sample` needs `--sample`, for example `--sample 1%`")
    return None if sample is None else share_of(sample, "--sample", whole=True)


def _sets(session: Session, before: str, after: str) -> "tuple[PolicySet, PolicySet]":
    from pipeline.releases.current import resolve_policy_set

    settings, progress = session.settings, session.progress
    return resolve_policy_set(before, settings, progress), resolve_policy_set(after, settings, progress)


def _write_page(path: Path, result: "BacktestResult", about: str) -> None:
    from pipeline.reports.backtest import write_backtest_gallery

    write_backtest_gallery(path, result.changed_images, about=about)


def _run(
    session: Session, request: "BacktestRequest", share: float | None, *, only_sample: bool, output_format: str
) -> "BacktestResult":
    """Run a back-test and return its last result. Tables are printed as they are ready, JSON at the end."""
    from pipeline.cli.console import print_json
    from pipeline.cli.policies.backtest_output import json_fields, print_sample, print_whole
    from pipeline.operations.policies.backtest import BacktestRun

    run = BacktestRun(session.workbench, request)
    sampled = run.sample(share) if share is not None else None
    if sampled is not None and output_format == "table":
        print_sample(sampled)
    whole = None if only_sample else run.whole()
    if output_format == "json":
        print_json(json_fields(sampled, whole), indent=2)
    elif whole is not None:
        print_whole(whole)
    result = whole or sampled
    assert result is not None
    return result
