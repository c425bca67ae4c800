"""Label session: the images of a sample in order, the answers so far, and a file to which each is written at once."""

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

# Nothing can be recognised in so few pixels; the browser blurs them as well.
BLURRED_SIDE = 8
CLEAR_SIDE = 1000


class Answer(Enum):
    """A reviewer's answer about an image."""

    FLAG = "flag"
    FINE = "fine"
    UNSURE = "unsure"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    An image to label. `place`: its index among the archive's scores; `flagged`: whether the active policy flags it.

    `withheld`: a restricted policy flags it, so it is not shown. `reference`: its address, if it is not in its record.
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
    A sample whose images are shown one after the other, and the answers to them. Several threads may call it.

    `originals` returns the bytes of an image, given its key, content digest and reference, or raises `OriginalGone`.
    After each answer, `file` contains the decisions so far, as JSON Lines. Raises `UsageError` if the file exists.
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
        # The clear picture is requested soon after the blurred one.
        self._originals = lru_cache(maxsize=2)(originals)
        self.file = file
        self._reviewer = reviewer
        self._shown: list[_Shown] = []
        self._hashes: dict[int, NDArray[np.bool_]] = {}
        self._looked_at: set[int] = set()
        self._lock = threading.RLock()
        if file.exists():
            raise UsageError(f"`{file}` already exists; choose another, or send its content: `decisions add --from`")
        if not file.absolute().parent.is_dir():
            raise UsageError(f"`{file.parent}` is not a folder, so answers cannot be written to it")

    @property
    def number(self) -> int:
        """Number of answered images, which is also the index in the sample of the next image."""
        with self._lock:
            return len(self._shown)

    def count(self, answer: Answer) -> int:
        """Return the number of images with this answer."""
        with self._lock:
            return sum(each.answer is answer for each in self._shown)

    @property
    def last_answer(self) -> Answer | None:
        """The answer that `undo` would take back; None without one."""
        with self._lock:
            return self._shown[-1].answer if self._shown else None

    def blurred(self, number: int) -> bytes:
        """Return a JPEG of an image of the sample, too small to recognise anything. Raises `OriginalGone`."""
        return self._small(number, BLURRED_SIDE)

    def clear(self, number: int) -> bytes:
        """Return a clear JPEG of an image of the sample, and allow answers about it. Raises `OriginalGone`."""
        shown = self._small(number, CLEAR_SIDE)
        with self._lock:
            self._looked_at.add(number)
        return shown

    def answer(self, number: int, answer: Answer) -> None:
        """
        Record the answer about the next image.

        An answer about another image, for example after a key was pressed twice, is ignored. So is any answer except
        `SKIP` about an image that was not shown clearly. Raises `OSError`, and records nothing, when the file cannot be
        written.
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
        """Take the last answer back, if there is one. Raises `OSError` when the file cannot be written."""
        with self._lock:
            if not self._shown:
                return
            self._write(self._shown[:-1])
            self._shown = self._shown[:-1]

    def findings(self) -> Findings:
        """Return the estimates from the answers so far."""
        with self._lock:
            left = [candidate.place for candidate in self.candidates[len(self._shown) :]]
            return self._labelling.findings(self._answers(), self._hashes, left)

    def decisions(self) -> list[Decision]:
        """
        Return the decisions, each with the probability with which its image was drawn and decided.

        The sample is shown in random order, so each of its images was decided with a probability equal to the share of
        decided images.
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
