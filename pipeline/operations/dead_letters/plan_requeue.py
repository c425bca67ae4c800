"""Plan of a requeue: the letters whose records can be put back on the input topic, and those that cannot, with why."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.broker.topics import admitted_by, oldest_timestamp, partitions_of
from pipeline.counted import counted
from pipeline.emit.encoded import Encoded
from pipeline.emit.handling import requeued_message
from pipeline.errors import DeadLetterReason, UsageError
from pipeline.events.records import Origin
from pipeline.operations.dead_letters.letters import Letter, LetterSummary, read_letters
from pipeline.operations.dead_letters.selection import LetterSelection, LetterState
from pipeline.operations.workbench import Workbench

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class RequeueOptions:
    """
    Options of a requeue.

    `max_attempts`: a record that was on the input topic this often is refused. `rate`: maximum number of records a
    second. `present_time`: records get the present time instead of their own timestamp. `by`: None for the user of the
    workbench; `note`: why.
    """

    max_attempts: int = MAX_ATTEMPTS
    rate: float | None = None
    present_time: bool = False
    by: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class RefusedLetter:
    """A letter that cannot be requeued, with why."""

    origin: Origin
    why: str


@dataclass(frozen=True, slots=True)
class RequeuePlan:
    """A requeue before it is done. `partitions`: number of partitions of the input topic `topic`."""

    topic: str
    partitions: int
    letters: tuple[LetterSummary, ...]
    refused: tuple[RefusedLetter, ...]
    selection: LetterSelection
    options: RequeueOptions

    @property
    def size_bytes(self) -> int:
        """Size of the values of the records to put back."""
        return sum(letter.size_bytes for letter in self.letters)


def plan_requeue(workbench: Workbench, selection: LetterSelection, options: RequeueOptions) -> RequeuePlan:
    """
    Plan the requeue of the selected open letters, at most `selection.limit`; nothing is written.

    A letter that was handled already is left out, and refused if the selection names its origin. Raises `UsageError`
    without an input topic, the errors of `read_letters`, and `BrokerFault`.
    """
    topic = workbench.settings.topic_images
    partitions = len(partitions_of(workbench.connection, [topic]))
    if not partitions:
        raise UsageError(f"there is no topic `{topic}`")
    admission = _admission(workbench, topic, options)
    states = frozenset(LetterState) if selection.origins else frozenset({LetterState.OPEN})
    with workbench.progress.working("reading dead letters"):
        letters, refused = _divide(
            read_letters(workbench, replace(selection, states=states, limit=None)), admission, selection.limit
        )
    return RequeuePlan(topic, partitions, letters, refused, selection, options)


@dataclass(frozen=True, slots=True)
class _Admission:
    """Conditions under which a letter's record can be put back on `topic`. `oldest_ms`: its oldest timestamp."""

    topic: str
    admitted_bytes: int
    oldest_ms: int
    options: RequeueOptions

    def problem(self, letter: Letter) -> str | None:
        """Return why a letter cannot be requeued; None if it can."""
        return _handled(letter) or self._damaged(letter) or self._out_of_bounds(letter)

    def _damaged(self, letter: Letter) -> str | None:
        record = letter.record
        if record.own.reason is DeadLetterReason.UNREADABLE:
            return "the client could not read the record, so the letter has raw bytes in place of it"
        if record.own.truncated:
            return f"truncated ({record.own.truncated}); send the record again from its source"
        if record.absent == {"key", "value"}:
            return "it has neither key nor value"
        return None

    def _out_of_bounds(self, letter: Letter) -> str | None:
        record = letter.record
        if record.origin.topic != self.topic:
            return f"its record was on another topic than `{self.topic}`; set WATCHWORD_TOPIC_IMAGES to requeue there"
        if record.attempt >= self.options.max_attempts:
            return f"{counted(record.attempt, 'attempt')} already, the limit is `--max-attempts`"
        message = requeued_message(record, self.topic, None)
        if Encoded(message.key or b"", message.value or b"", message.headers).size_bytes > self.admitted_bytes:
            return f"with its new headers it is larger than `{self.topic}` admits, {self.admitted_bytes} bytes"
        if not self.options.present_time and (record.timestamp_ms or self.oldest_ms) < self.oldest_ms:
            return f"older than `{self.topic}` retains; `--present-time` gives it the present time"
        return None


def _admission(workbench: Workbench, topic: str, options: RequeueOptions) -> _Admission:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    admitted = admitted_by(workbench.connection, [topic])[topic]
    return _Admission(topic, admitted, oldest_timestamp(workbench.connection, topic, now_ms), options)


def _divide(
    letters: Iterable[Letter], admission: _Admission, limit: int | None
) -> tuple[tuple[LetterSummary, ...], tuple[RefusedLetter, ...]]:
    """Return the letters to requeue, at most `limit`, and those refused before the limit was reached."""
    accepted: list[LetterSummary] = []
    refused: list[RefusedLetter] = []
    for letter in letters:
        why = admission.problem(letter)
        if why is None:
            accepted.append(LetterSummary.of(letter))
        else:
            refused.append(RefusedLetter(letter.id.origin, why))
        if len(accepted) == limit:
            break
    return tuple(accepted), tuple(refused)


def _handled(letter: Letter) -> str | None:
    if letter.state is LetterState.OPEN:
        return None
    last = letter.history[-1]
    undo = "; `drop --undo` makes it open again" if letter.state is LetterState.DROPPED else ""
    return f"{letter.state} by {last.by}, {last.time:%Y-%m-%d %H:%M} UTC{undo}"
