"""Selection of dead letters, and the position and offsets by which people name them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.bounded import brief
from pipeline.errors import DeadLetterReason, UsageError
from pipeline.events.records import Origin
from pipeline.events.wire.dead_letter import DeadLetterRecord

_ORIGIN = re.compile(r"([A-Za-z0-9._-]{1,249})[/:]([0-9]{1,10})[/:]([0-9]{1,19})")
_OFFSETS = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


class LetterState(StrEnum):
    """States of a dead letter. An `open` letter was neither requeued nor dropped, or its drop was taken back."""

    OPEN = "open"
    REQUEUED = "requeued"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """
    A selection of dead letters; a condition that is empty selects all.

    `since` and `until` are about the time at which a record became a dead letter, `until` excluded. `partitions` and
    `offsets` are those of the input topic. `origins`: positions of single input records. `limit`: maximum number.
    """

    reasons: frozenset[DeadLetterReason] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    partitions: frozenset[int] = frozenset()
    offsets: tuple[range, ...] = ()
    origins: frozenset[Origin] = frozenset()
    states: frozenset[LetterState] = frozenset({LetterState.OPEN})
    limit: int | None = None

    def includes(self, letter: DeadLetterRecord) -> bool:
        """Tell whether a letter has one of the reasons and positions. Times and states are not looked at."""
        return (
            (not self.reasons or letter.own.reason in self.reasons)
            and (not self.partitions or letter.origin.partition in self.partitions)
            and (not self.offsets or any(letter.origin.offset in offsets for offsets in self.offsets))
            and (not self.origins or letter.origin in self.origins)
        )


def origins_of(texts: Iterable[str]) -> frozenset[Origin]:
    """Return positions of input records, for example `images/0/12`. Raises `UsageError`."""
    return frozenset(map(origin_of, texts))


def origin_of(text: str) -> Origin:
    """Return the position of an input record, for example `images/0/12` or `images:0:12`. Raises `UsageError`."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise UsageError(f"`{brief(text)}`: expected topic/partition/offset of the input record, such as `images/0/12`")
    return Origin(found[1], int(found[2]), int(found[3]))


def offsets_of(texts: Iterable[str]) -> tuple[range, ...]:
    """Return ranges of offsets, for example `12` or `12-40`, the last included. Raises `UsageError`."""
    return tuple(map(_offsets, texts))


def _offsets(text: str) -> range:
    found = _OFFSETS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if last < first:
        raise UsageError(f"`--offset {brief(text)}`: expected an offset or a range such as `12-40`")
    return range(first, last + 1)
