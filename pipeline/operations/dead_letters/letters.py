"""Dead letters of a stream, each with what was done with it."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.broker.reader import read_range, read_topics
from pipeline.broker.table import TableReader
from pipeline.broker.topics import partitions_of
from pipeline.counted import counted
from pipeline.errors import DeadLetterReason, UnreadableRecord, UsageError
from pipeline.events.records import Origin, Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.handling import Action, Handling, LetterId
from pipeline.operations.dead_letters.selection import LetterSelection, LetterState
from pipeline.operations.workbench import Workbench

Histories = Mapping[LetterId, tuple[Handling, ...]]

_STATES = {
    Action.REQUEUED: LetterState.REQUEUED,
    Action.DROPPED: LetterState.DROPPED,
    Action.RESTORED: LetterState.OPEN,
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. `place`: its position on the dead-letter topic; `history`: what was done with it, oldest first."""

    place: Origin
    record: DeadLetterRecord
    id: LetterId
    history: tuple[Handling, ...] = ()

    @property
    def state(self) -> LetterState:
        """The state after the last action."""
        return state_of(self.history)


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """A dead letter without its record. `place`: its position on the dead-letter topic; `size_bytes`: of the value."""

    place: Origin
    id: LetterId
    reason: DeadLetterReason
    size_bytes: int

    @classmethod
    def of(cls, letter: Letter) -> "LetterSummary":
        """Return the summary of a letter."""
        return cls(letter.place, letter.id, letter.record.own.reason, letter.record.size_bytes)


def read_letters(workbench: Workbench, selection: LetterSelection) -> Generator[Letter, None, None]:
    """
    Yield the selected dead letters. A record that was dead-lettered twice is one letter.

    Raises `UsageError` when one of the selection's origins has no letter, `UnreadableRecord` when the history of
    letters cannot be read, and `BrokerFault`.
    """
    histories, seen, found = read_histories(workbench), set[LetterId](), 0
    missing = set(selection.origins)
    for place, record in stored_letters(workbench, selection.since, selection.until):
        if not selection.includes(record):
            continue
        missing.discard(record.origin)
        letter = Letter(place, record, record.id, histories.get(record.id, ()))
        if letter.state not in selection.states or letter.id in seen:
            continue
        seen.add(letter.id)
        yield letter
        found += 1
        if found == selection.limit:
            return
    if missing:
        raise UsageError(f"no dead letter of {', '.join(f'`{each}`' for each in sorted(map(str, missing)))}")


def read_histories(workbench: Workbench) -> Histories:
    """
    Return what was done with each letter so far, in order; letters without a history are left out.

    A transaction that is still open, perhaps of a command that was killed, is not waited for. Raises
    `UnreadableRecord` and `BrokerFault`.
    """
    topic = workbench.settings.topic_dead_letter_handling
    if not partitions_of(workbench.connection, [topic]):
        return {}
    with TableReader(workbench.connection, topic) as reader:
        return histories_of(reader.read_new())


def histories_of(records: Iterable[Record]) -> Histories:
    """
    Return the actions on each letter, in order, from the records of their topic.

    Raises `UnreadableRecord`: a record that cannot be read may say that a letter was requeued.
    """
    found: dict[LetterId, tuple[Handling, ...]] = {}
    for record in records:
        handling = Handling.parse(record)
        found[handling.letter] = (*found.get(handling.letter, ()), handling)
    return found


def state_of(history: tuple[Handling, ...]) -> LetterState:
    """Return the state of a letter after the last of these actions."""
    return _STATES[history[-1].action] if history else LetterState.OPEN


def stored_letters(
    workbench: Workbench, since: datetime | None = None, until: datetime | None = None
) -> Iterator[tuple[Origin, DeadLetterRecord]]:
    """
    Yield the letters of the dead-letter topic from `since` on and before `until`, with their positions on it.

    Records that are no dead letters are counted in a notice. Raises `BrokerFault`.
    """
    topic, unreadable = workbench.settings.topic_dead_letters, 0
    timed = since is not None or until is not None
    records = (
        read_range(workbench.connection, topic, since, until) if timed else read_topics(workbench.connection, [topic])
    )
    for record in records:
        try:
            yield record.origin, DeadLetterRecord.parse(record)
        except UnreadableRecord:
            unreadable += 1
    if unreadable:
        workbench.progress.notify(f"skipped: {counted(unreadable, 'record')} that cannot be read as a dead letter")
