"""`watchword dead-letters list`."""

import sys
from typing import Annotated, Literal

import typer

from pipeline.cli.dead_letters.options import All, Limit, Offsets, Origins, Partitions, Reasons, Since, Until
from pipeline.cli.session import session_of


def list_letters(
    context: typer.Context,
    origins: Origins = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    partition: Partitions = None,
    offset: Offsets = None,
    limit: Limit = None,
    all: All = False,  # noqa: A002 -- the option's name
    counts: Annotated[bool, typer.Option("--counts", help="Only the number of dead letters by reason.")] = False,
    format: Annotated[  # noqa: A002 -- the option's name
        Literal["table", "jsonl"] | None,
        typer.Option(help="Output format: `table` or `jsonl`.  [default: table on a terminal, else jsonl]"),
    ] = None,
) -> None:
    """
    List dead letters that are open: neither requeued nor dropped.

    Examples: `watchword dead-letters list --since 1d` ·
    `watchword dead-letters list --reason fetch_failed | jq -r .event_id`
    """
    from pipeline.cli.dead_letters.options import selection_of
    from pipeline.cli.dead_letters.output import count_reasons, print_counts, print_letter_line, print_letters
    from pipeline.operations.dead_letters.letters import read_letters

    chosen = selection_of(origins, reason, since, until, partition, offset, limit, handled=all)
    letters = read_letters(session_of(context).workbench, chosen)
    as_table = format == "table" or (format is None and sys.stdout.isatty())
    if counts:
        print_counts(count_reasons(letters), as_table=as_table)
    elif as_table:
        print_letters(letters, states=all)
    else:
        for letter in letters:
            print_letter_line(letter)
