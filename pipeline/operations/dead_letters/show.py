"""One input record's dead letters in full."""

from pipeline.events.records import Origin
from pipeline.operations.dead_letters.letters import Letter, read_letters
from pipeline.operations.dead_letters.selection import LetterSelection, LetterState
from pipeline.operations.workbench import Workbench


def show_letters(workbench: Workbench, origin: Origin) -> tuple[Letter, ...]:
    """
    Return the letters of the record at `origin`, in any state.

    There are several if the input topic was deleted and created again. Raises `UsageError` when there is none, and the
    errors of `read_letters`.
    """
    selection = LetterSelection(origins=frozenset({origin}), states=frozenset(LetterState))
    with workbench.progress.working("reading dead letters"):
        return tuple(read_letters(workbench, selection))
