"""`watchword read`."""

import sys
from contextlib import closing, nullcontext, suppress
from itertools import islice
from typing import Annotated, Literal

import typer

from pipeline.cli.session import session_of
from pipeline.cli.times import since_of


def read(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="Kind of outcome: `flags`, `verdicts` or `dead-letters`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new outcomes until Ctrl-C.")] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Start of the period: an age (`1h`, `2d`; `0h` is now), a date or a time."),
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Id of a policy: only its flags, or verdicts in which it flags.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Maximum number of outcomes to print.")
    ] = None,
    format: Annotated[  # noqa: A002 -- the option's name
        Literal["table", "jsonl"] | None,
        typer.Option(help="Output format: `table` or `jsonl`.  [default: table on a terminal, else jsonl]"),
    ] = None,
) -> None:
    """
    Print the outcomes of a stream: as a table on a terminal, otherwise as JSON lines.

    Examples: `watchword read flags | jq -r '[.event.id, .policy.id, .score] | @tsv'` ·
    `watchword read flags --follow --since 0h --policy weapons.firearms`
    """
    from pipeline.cli.stream.read_output import OutcomeTable, print_json_line
    from pipeline.operations.stream.read import OutcomeQuery, read_outcomes

    query = OutcomeQuery(kind, policy, since_of(since) if since is not None else None, follow)
    as_table = format == "table" or (format is None and sys.stdout.isatty())
    interrupted = suppress(KeyboardInterrupt) if follow else nullcontext()
    with interrupted, closing(read_outcomes(session_of(context).workbench, query)) as outcomes:
        if as_table:
            OutcomeTable(kind).print(islice(outcomes, limit))
        else:
            for record in islice(outcomes, limit):
                print_json_line(record, kind)
