"""Someone labels: what is shown next, what was answered, and a file that has every answer as soon as it is given."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.counted import counted
from pipeline.errors import OriginalGone, RecordFault, UsageError
from pipeline.evaluation.labelling.estimates import Findings, Labelling
from pipeline.evaluation.stats.near_duplicates import HASHED_SIDE, difference_hash, written_hash
from pipeline.events.decisions import Decision, Ruling
from pipeline.ingest.decode import rgb, thumbnail
from pipeline.private import open_private

# Of so few pixels nothing is recognised; the browser blurs them besides.
BLURRED_SIDE = 8
CLEAR_SIDE = 1000


class Answer(Enum):
    """What someone says of an image."""

    FLAG = "flag"
    FINE = "fine"
    UNSURE = "unsure"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    An image to be labelled. `place`: where it is among the archive's scores; `flagged`: by the policy in force.

    `withheld`: a restricted policy flags it, so it is not shown. `reference`: where it is, if not in its record.
    """

    place: int
    key: str
    event_id: str
    source: str
    content: str
    flagged: bool
    withheld: bool = False
    reference: str = ""


@dataclass(frozen=True, slots=True)
class _Shown:
    answer: Answer
    decision: Decision | None


class LabellingSession:
    """
    A sample, shown one after the other, and its answers. Calls from several threads are allowed.

    `originals` returns an image's bytes by key, content digest and reference, or raises `OriginalGone`. `file` has,
    after every answer, the decisions so far as JSON Lines. Raises `UsageError` when there is such a file.
    """

    def __init__(
        self,
        policy_id: str,
        candidates: Sequence[Candidate],
        labelling: Labelling,
        originals: Callable[[str, str, str], bytes],
        *,
        file: Path,
        reviewer: str,
    ) -> None:
        self.policy_id = policy_id
        self.candidates = candidates
        self._labelling = labelling
        # The clear picture is asked for soon after the blurred one.
        self._originals = lru_cache(maxsize=2)(originals)
        self.file = file
        self._reviewer = reviewer
        self._shown: list[_Shown] = []
        self._hashes: dict[int, NDArray[np.bool_]] = {}
        self._looked_at: set[int] = set()
        self._lock = threading.RLock()
        if file.exists():
            raise UsageError(f"`{file}` is there already; name another, or send what it has: `decisions add --from`")
        if not file.absolute().parent.is_dir():
            raise UsageError(f"`{file.parent}` is no folder, so answers cannot be written there")

    @property
    def number(self) -> int:
        """How many images have been answered: the place in the sample of the one to be answered next."""
        with self._lock:
            return len(self._shown)

    def count(self, answer: Answer) -> int:
        """Return how many images got this answer."""
        with self._lock:
            return sum(each.answer is answer for each in self._shown)

    @property
    def last_answer(self) -> Answer | None:
        """The answer that `undo` would take back."""
        with self._lock:
            return self._shown[-1].answer if self._shown else None

    def blurred(self, number: int) -> bytes:
        """Return a JPEG of an image of the sample in which nothing is to be recognised. Raises `OriginalGone`."""
        return self._small(number, BLURRED_SIDE)

    def clear(self, number: int) -> bytes:
        """Return a JPEG of an image of the sample, which may be answered from now on. Raises `OriginalGone`."""
        shown = self._small(number, CLEAR_SIDE)
        with self._lock:
            self._looked_at.add(number)
        return shown

    def answer(self, number: int, answer: Answer) -> None:
        """
        Note an answer to the image that is next.

        One to another image, such as by a key pressed twice, is not noted, nor one other than to skip to an image that
        nobody looked at. Raises `OSError` when it cannot be written; it is not noted then.
        """
        with self._lock:
            if number != len(self._shown) or number >= len(self.candidates):
                return
            if answer is not Answer.SKIP and number not in self._looked_at:
                return
            given = _Shown(answer, self._decision(self.candidates[number], answer))
            self._write([*self._shown, given])
            self._shown.append(given)

    def undo(self) -> None:
        """Take the last answer back, if there is one. Raises `OSError` when that cannot be written."""
        with self._lock:
            if not self._shown:
                return
            self._write(self._shown[:-1])
            self._shown = self._shown[:-1]

    def findings(self) -> Findings:
        """Return what the answers say so far."""
        with self._lock:
            left = [candidate.place for candidate in self.candidates[len(self._shown) :]]
            return self._labelling.findings(self._answers(), self._hashes, left)

    def decisions(self) -> list[Decision]:
        """
        Return what was decided, with the probability that each image was drawn and came to be decided.

        The sample comes in an order of chance: of one decided in part, each was decided with that part's share.
        """
        with self._lock:
            return self._weighted(self._shown)

    def _weighted(self, shown: Sequence["_Shown"]) -> list[Decision]:
        found = [each.decision for each in shown if each.decision is not None]
        share = len(found) / len(self.candidates)
        return [each.model_copy(update={"probability": (each.probability or 1.0) * share}) for each in found]

    def _small(self, number: int, side: int) -> bytes:
        if not 0 <= number < len(self.candidates):
            raise OriginalGone(f"the sample has {counted(len(self.candidates), 'image')}")
        candidate = self.candidates[number]
        if candidate.withheld:
            raise OriginalGone("not shown: a restricted policy flags it")
        data = self._originals(candidate.key, candidate.content, candidate.reference)
        try:
            if candidate.place not in self._hashes:
                self._hashes[candidate.place] = difference_hash(rgb(thumbnail(data, HASHED_SIDE)))
            return thumbnail(data, side)
        except RecordFault as fault:
            raise OriginalGone(f"cannot be shown: {fault.detail}") from fault

    def _answers(self) -> Mapping[int, bool]:
        return {
            candidate.place: shown.answer is Answer.FLAG
            for candidate, shown in zip(self.candidates, self._shown, strict=False)
            if shown.answer in (Answer.FLAG, Answer.FINE)
        }

    def _decision(self, candidate: Candidate, answer: Answer) -> Decision | None:
        if answer not in (Answer.FLAG, Answer.FINE):
            return None
        known = self._hashes.get(candidate.place)
        return Decision(
            ruling=Ruling.of(flagged=candidate.flagged, right=answer is Answer.FLAG),
            policy=self.policy_id,
            source=candidate.source,
            event_id=candidate.event_id,
            time=datetime.now(UTC),
            reviewer=self._reviewer,
            probability=self._labelling.probability(candidate.place),
            content=candidate.content,
            picture=written_hash(known) if known is not None else None,
        )

    def _write(self, shown: Sequence["_Shown"]) -> None:
        lines = [each.model_dump_json(exclude_none=True) for each in self._weighted(shown)]
        partial = self.file.with_name(f"{self.file.name}.part")
        with open_private(partial) as file:
            file.writelines(f"{line}\n" for line in lines)
        partial.replace(self.file)
