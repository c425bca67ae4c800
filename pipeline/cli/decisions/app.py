"""`watchword decisions`: what people decided about images, in and out."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.extras import models_extra

app = typer.Typer(help="What people decide about images, and what it says of policies.", no_args_is_help=True)


@app.command()
def add(
    ruling: Annotated[str | None, typer.Argument(help="`upheld`, `overturned`, `missed` or `passed`.")] = None,
    flag: Annotated[list[str] | None, typer.Option(help="A flag's id; may be given again.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="An event's id, with `--source` and `--policy`.")] = None,
    source: Annotated[str | None, typer.Option(help="The events' source.")] = None,
    policy: Annotated[str | None, typer.Option(help="The policy that is decided about.")] = None,
    probability: Annotated[
        float | None, typer.Option(help="With which the image was drawn to be looked at, over 0 to 1.")
    ] = None,
    reviewer: Annotated[str, typer.Option(envvar="USER", help="Who decided.")] = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    file: Annotated[Path | None, typer.Option("--from", help="JSON Lines with the same names, or `-`.")] = None,
) -> None:
    """
    Send decisions: flags upheld or overturned, and of what was not flagged, what was missed or rightly passed.

    Of several about one policy and event, the last one counts.

    Examples: `watchword decisions add upheld --flag 3f0c…` ·
    `watchword decisions add missed --event post-7 --source forum --policy weapons.firearms` ·
    `review-tool export | watchword decisions add --from -`
    """
    with models_extra("calibrate"):
        from pipeline.cli.decisions.commands import rows_of, run_add

    common = {"ruling": ruling, "reviewer": reviewer, "note": note, "probability": probability}
    if file is not None:
        if flag or event or ruling:
            raise UsageError("`--from` names its own rulings, flags and events")
        rows = list(rows_of(file))
    elif ruling is None or not (flag or event):
        raise UsageError("say what was decided, and about which `--flag` or `--event`; or give a file, `--from`")
    else:
        rows = [{**common, "flag_id": each} for each in flag or ()]
        rows += [{**common, "event_id": each, "source": source, "policy": policy} for each in event or ()]
    typer.echo(counted(run_add(rows), "decision"))


@app.command()
def show(
    since: Annotated[str | None, typer.Option(help="Only decisions since then: `7d`, `12h`, or a day.")] = None,
    format: Annotated[str, typer.Option(help="`table`, or `jsonl`, every decision.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Say how policies stand with the people who looked: precision, and recall where there are audits.

    Example: `watchword decisions show --since 30d`
    """
    from pipeline.cli.console import require_format

    require_format(format, ("table", "jsonl"))
    with models_extra("calibrate"):
        from pipeline.cli.decisions.commands import run_show

    run_show(since, format)


@app.command()
def watch() -> None:
    """
    Show on `/metrics` how policies stand, until SIGTERM: decisions, precision and recall by policy.

    Example: `WATCHWORD_HTTP_PORT=8082 watchword decisions watch`
    """
    with models_extra("calibrate"):
        from pipeline.operations.decisions.watch import run_watch

    run_watch()
