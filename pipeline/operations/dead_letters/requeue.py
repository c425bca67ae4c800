"""Requeue of dead letters: their records put back on the input topic, each once, however often it is tried."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.broker.producer import Message
from pipeline.emit.handling import requeued_message
from pipeline.events.records import Origin
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.handling import Action, Handling, LetterId
from pipeline.operations.dead_letters.letters import LetterSummary, state_of, stored_letters
from pipeline.operations.dead_letters.plan_requeue import RequeuePlan
from pipeline.operations.dead_letters.selection import LetterState
from pipeline.operations.dead_letters.writer import Author, HandlingWriter, handling_of, open_writer
from pipeline.operations.workbench import Workbench

# One transaction holds up to these, the last record's bytes not counted.
BATCH_RECORDS = 100
BATCH_BYTES = 4 << 20
# With a rate, a transaction holds the records of this time.
BATCH_S = 0.1


@dataclass(frozen=True, slots=True)
class Requeued:
    """Numbers of letters `requeued`, and `skipped`: handled or removed by retention since the plan was made."""

    topic: str
    requeued: int
    skipped: int


@dataclass
class _Batch:
    """The handlings and records of one transaction."""

    handlings: dict[LetterId, Handling] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    size_bytes: int = 0


def requeue_letters(workbench: Workbench, plan: RequeuePlan, sleep: Callable[[float], object] = time.sleep) -> Requeued:
    """
    Put the records of planned letters back on the input topic, in transactions that also record the letters as handled.

    A letter that is handled already is skipped, so the same plan may be carried out again after any failure. `sleep`
    waits between transactions where the plan has a rate. Raises `CommitAborted` when a transaction failed or another
    writer took over, and `BrokerFault`.
    """
    requeued, total = 0, len(plan.letters)
    if not total:
        return Requeued(plan.topic, 0, 0)
    with open_writer(workbench, plan.topic) as writer:
        batches = workbench.progress.track(_batches(workbench, plan, writer), "requeueing", total, _count)
        started = time.monotonic()
        for batch in batches:
            if plan.options.rate:
                sleep(max(0.0, started + requeued / plan.options.rate - time.monotonic()))
            writer.commit(batch.handlings, batch.messages)
            requeued += len(batch.messages)
    return Requeued(plan.topic, requeued, total - requeued)


def _batches(workbench: Workbench, plan: RequeuePlan, writer: HandlingWriter) -> Iterator[_Batch]:
    """Yield the planned letters that are still open, in the order of the dead-letter topic."""
    rate, batch = plan.options.rate, _Batch()
    most = BATCH_RECORDS if rate is None else min(BATCH_RECORDS, max(1, int(rate * BATCH_S)))
    author = Author(plan.options.by or workbench.user, plan.options.note)
    for letter, record in _still_open(workbench, plan, writer):
        message = _message(record, plan)
        batch.handlings[letter.id] = handling_of(letter, Action.REQUEUED, author, attempt=record.attempt + 1)
        batch.messages.append(message)
        batch.size_bytes += len(message.value or b"")
        if len(batch.messages) == most or batch.size_bytes >= BATCH_BYTES:
            yield batch
            batch = _Batch()
    if batch.messages:
        yield batch


def _still_open(
    workbench: Workbench, plan: RequeuePlan, writer: HandlingWriter
) -> Iterator[tuple[LetterSummary, DeadLetterRecord]]:
    planned: dict[Origin, LetterSummary] = {
        letter.place: letter
        for letter in plan.letters
        if state_of(writer.histories.get(letter.id, ())) is LetterState.OPEN
    }
    if not planned:
        return
    for place, record in stored_letters(workbench, plan.selection.since, plan.selection.until):
        letter = planned.pop(place, None)
        if letter is not None and record.id == letter.id:
            yield letter, record
        if not planned:
            return


def _message(record: DeadLetterRecord, plan: RequeuePlan) -> Message:
    """Return the record to put back, on its former partition as long as the topic has it."""
    former = record.origin.partition
    present = datetime.now(UTC) if plan.options.present_time else None
    return requeued_message(record, plan.topic, former if former < plan.partitions else None, present=present)


def _count(batch: _Batch) -> int:
    return len(batch.messages)
