"""Options that select dead letters, the same for every command of the group."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.times import since_of, time_of
from pipeline.errors import DeadLetterReason

if TYPE_CHECKING:
    from pipeline.operations.dead_letters.selection import LetterSelection

Origins = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ORIGIN", help="Positions of input records, such as `images/0/12`.  [default: all that match]"
    ),
]
Reasons = Annotated[
    list[DeadLetterReason] | None, typer.Option("--reason", help="Reason of the dead letters (repeatable).")
]
Since = Annotated[
    str | None, typer.Option(help="Start of the period: `1h`, `2d` ago, a day or a time.  [default: the oldest]")
]
Until = Annotated[str | None, typer.Option(help="End of the period, excluded: a day or a time.  [default: the newest]")]
Partitions = Annotated[
    list[int] | None, typer.Option("--partition", min=0, help="Partition of the input topic (repeatable).")
]
Offsets = Annotated[
    list[str] | None,
    typer.Option("--offset", help="Offset on the input topic, or a range such as `12-40` (repeatable)."),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Maximum number of dead letters.")]
All = Annotated[bool, typer.Option("--all", help="Include dead letters that were requeued or dropped.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
By = Annotated[str | None, typer.Option(help="Who decides, kept with each dead letter.  [default: the user's name]")]


def selection_of(
    origins: Sequence[str] | None,
    reasons: Sequence[DeadLetterReason] | None,
    since: str | None,
    until: str | None,
    partitions: Sequence[int] | None,
    offsets: Sequence[str] | None,
    limit: int | None,
    *,
    handled: bool = False,
) -> "LetterSelection":
    """Return the selection that the options name; `handled` includes letters that are not open. Raises `UsageError`."""
    from pipeline.operations.dead_letters.selection import LetterSelection, LetterState, offsets_of, origins_of

    return LetterSelection(
        reasons=frozenset(reasons or ()),
        since=None if since is None else since_of(since),
        until=time_of(until, "--until"),
        partitions=frozenset(partitions or ()),
        offsets=offsets_of(offsets or ()),
        origins=origins_of(origins or ()),
        states=frozenset(LetterState) if handled else frozenset({LetterState.OPEN}),
        limit=limit,
    )
