"""Drop of dead letters: a record, with who and why, that they will not be judged; and the way back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UsageError
from pipeline.events.wire.handling import Action
from pipeline.operations.dead_letters.letters import LetterSummary, read_letters, state_of
from pipeline.operations.dead_letters.selection import LetterSelection, LetterState
from pipeline.operations.dead_letters.writer import Author, handling_of, open_writer
from pipeline.operations.workbench import Workbench

BATCH_RECORDS = 500


@dataclass(frozen=True, slots=True)
class DropPlan:
    """A drop before it is done, or with `undo` the end of earlier drops."""

    letters: tuple[LetterSummary, ...]
    undo: bool = False

    @property
    def state(self) -> LetterState:
        """The state of letters that the plan is for."""
        return LetterState.DROPPED if self.undo else LetterState.OPEN


def plan_drop(workbench: Workbench, selection: LetterSelection, *, undo: bool = False) -> DropPlan:
    """
    Plan the drop of the selected open letters, or with `undo` the return of dropped ones; nothing is written.

    Raises the errors of `read_letters`.
    """
    plan = DropPlan((), undo)
    selected = read_letters(workbench, replace(selection, states=frozenset({plan.state})))
    with workbench.progress.working("reading dead letters"):
        return replace(plan, letters=tuple(map(LetterSummary.of, selected)))


def drop_letters(workbench: Workbench, plan: DropPlan, note: str, by: str | None = None) -> int:
    """
    Record the planned letters as dropped, or as restored, and return their number.

    Letters that were handled since the plan was made are left out. `note`: why; `by`: None for the user of the
    workbench. Raises `UsageError` without a note, `CommitAborted` when a transaction failed or another writer took
    over, and `BrokerFault`.
    """
    if not note.strip():
        raise UsageError("say why with `--note`: it is kept as the record of this decision")
    if not plan.letters:
        return 0
    author, done = Author(by or workbench.user, note), 0
    action = Action.RESTORED if plan.undo else Action.DROPPED
    with open_writer(workbench) as writer:
        left = [each for each in plan.letters if state_of(writer.histories.get(each.id, ())) is plan.state]
        for batch in workbench.progress.track(_batches(left), str(plan.state), len(left), len):
            writer.commit({each.id: handling_of(each, action, author) for each in batch})
            done += len(batch)
    return done


def _batches(letters: Sequence[LetterSummary]) -> Iterator[Sequence[LetterSummary]]:
    return (letters[start : start + BATCH_RECORDS] for start in range(0, len(letters), BATCH_RECORDS))
