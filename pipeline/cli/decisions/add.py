"""`watchword decisions add`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.extras import models_extra


def add(
    context: typer.Context,
    ruling: Annotated[str | None, typer.Argument(help="Ruling: `upheld`, `overturned`, `missed` or `passed`.")] = None,
    flag: Annotated[list[str] | None, typer.Option(help="Id of a flag (repeatable).")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="Id of an event, with `--source` and `--policy` (repeatable)."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source of the events.")] = None,
    policy: Annotated[str | None, typer.Option(help="Id of the policy that the decision is about.")] = None,
    probability: Annotated[
        float | None, typer.Option(help="Probability (0 < p <= 1) with which this image was sampled for review.")
    ] = None,
    reviewer: Annotated[str, typer.Option(envvar="USER", help="Name of the person who decided.")] = "",
    note: Annotated[str, typer.Option(help="Reason for the decision.")] = "",
    file: Annotated[
        Path | None,
        typer.Option("--from", help="JSON Lines file with the fields of the decisions' topic, or `-` for stdin."),
    ] = None,
) -> None:
    """
    Send people's decisions about flags, and about images without a flag.

    A flag was right (`upheld`) or wrong (`overturned`); an image without a flag should have had one (`missed`) or not
    (`passed`). The last decision about a policy and an event counts.

    Examples: `watchword decisions add upheld --flag 3f0c…` ·
    `watchword decisions add missed --event post-7 --source forum --policy weapons.firearms` ·
    `review-tool export | watchword decisions add --from -`
    """
    with models_extra("calibrate"):
        from pipeline.operations.decisions.add import add_decisions, decision_rows

    if file is not None:
        if flag or event or ruling:
            raise UsageError("with `--from`, rulings, flags and events come from the file; leave out the others")
        rows = list(decision_rows(_content(file), str(file)))
    elif ruling is None or not (flag or event):
        raise UsageError("give a ruling with a `--flag` or an `--event`, or give a file with `--from`")
    else:
        common: dict[str, Any] = {"ruling": ruling, "reviewer": reviewer, "note": note, "probability": probability}
        rows = [{**common, "flag_id": each} for each in flag or ()]
        rows += [{**common, "event_id": each, "source": source, "policy": policy} for each in event or ()]
    sent = add_decisions(session_of(context).workbench, rows)
    typer.echo(counted(sent.sent, "decision"))


def _content(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"`{file}`: {error.strerror or error}") from error
