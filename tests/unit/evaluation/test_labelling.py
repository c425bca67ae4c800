"""Samples for labelling and the estimates from them, checked on populations whose truth is known."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import OriginalGone, UsageError
from pipeline.evaluation.labelling.estimates import Findings, Labelling
from pipeline.evaluation.labelling.session import Answer, Candidate, LabellingSession
from pipeline.evaluation.stats.certification import Certified
from pipeline.evaluation.stats.stratified_sample import Kind, Stratum, draw_sample
from pipeline.events.decisions import Ruling
from pipeline.events.records import Origin, Record
from pipeline.ingest.fetch import Fetcher, FetchRules
from pipeline.ingest.originals import Originals

IMAGES = 20_000


class Population:
    """Images whose scores tell how likely they are right; an edit lowers the threshold from 2 to 1.5."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.scores = rng.normal(-1, 1.2, IMAGES)
        self.right = rng.random(IMAGES) < 1 / (1 + np.exp(-3 * (self.scores - 1.4)))
        self.before, self.after = self.scores >= 2, self.scores >= 1.5

    def draw(self, count: int, seed: int) -> list[Stratum]:
        return draw_sample(self.scores, self.before, self.after, count, np.random.default_rng(seed))

    def labelled(self, count: int, looked_at: int, seed: int) -> Findings:
        labelling = Labelling(
            self.draw(count, seed), self.scores, target=0.8, confidence=0.95, rng=np.random.default_rng(seed)
        )
        return labelling.findings({place: bool(self.right[place]) for place in labelling.order[:looked_at]}, {})


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(3)


def test_what_an_edit_flips_is_drawn_far_more_often_than_chance_and_everything_can_be(population: Population) -> None:
    strata = population.draw(300, 1)
    assert sum(len(each.drawn) for each in strata) == 300
    assert sorted(np.concatenate([each.members for each in strata]).tolist()) == list(range(IMAGES))
    [flips] = [each for each in strata if each.kind is Kind.NEWLY_FLAGGED]
    assert set(flips.members.tolist()) == set(np.flatnonzero(population.after & ~population.before).tolist())
    assert flips.probability > 10 * 300 / IMAGES
    assert all(set(each.drawn.tolist()) <= set(each.members.tolist()) for each in strata)
    assert all(len(set(each.drawn.tolist())) == len(each.drawn) > 0 for each in strata)
    assert all(stratum.kind is not Kind.NEWLY_CLEARED for stratum in strata)


def test_of_few_images_all_are_drawn_once() -> None:
    few = np.arange(7, dtype=np.float64)
    [*strata] = draw_sample(few, few > 5, few > 4, 300, np.random.default_rng(1))
    assert sorted(np.concatenate([each.drawn for each in strata]).tolist()) == list(range(7))
    assert all(each.probability == 1 for each in strata)


def test_intervals_cover_the_truth_though_only_part_of_the_sample_was_looked_at(population: Population) -> None:
    """Of precision and of what the edit gains, in at least 93 of 100 samples of 90 labels."""
    flagged = population.after
    precision = population.right[flagged].mean()
    gained = population.right[flagged & ~population.before].sum()
    covered = {"precision": 0, "gained": 0}
    for seed in range(200):
        found = population.labelled(160, 90, seed)
        covered["precision"] += not found.precision.excludes(precision)
        covered["gained"] += not found.newly_flagged.right.excludes(gained)
    assert found.flagged == flagged.sum()
    assert min(covered.values()) >= 0.93 * 200, covered


def test_the_estimate_is_not_drawn_to_what_was_looked_at_more(population: Population) -> None:
    estimates = [population.labelled(160, 160, seed).precision.value for seed in range(100)]
    truth = population.right[population.after].mean()
    assert abs(np.mean(estimates) - truth) < 3 * np.std(estimates) / 10


def test_a_threshold_is_shown_only_with_labels_enough_and_holds(population: Population) -> None:
    assert not isinstance(population.labelled(300, 20, 1).threshold, Certified)
    found = [population.labelled(300, 300, seed).threshold for seed in range(40)]
    shown = [each.threshold for each in found if isinstance(each, Certified)]
    assert len(shown) > 20
    wrong = sum(population.right[population.scores >= threshold].mean() < 0.8 for threshold in shown)
    assert wrong <= 4, "at 95 % confidence, of 40"


def test_before_any_label_nothing_is_known(population: Population) -> None:
    found = population.labelled(100, 0, 1)
    assert np.isnan(found.precision.value)
    assert (found.precision.lower, found.precision.upper) == (0, 1)
    assert found.newly_flagged.right.upper == found.newly_flagged.images > 0


class Shelf:
    """A reader of records that are here, and of none else."""

    def __init__(self, records: dict[int, Record]) -> None:
        self._records = records

    def read(self, origin: Origin) -> Record | None:
        return self._records.get(origin.offset)

    def close(self) -> None:
        pass


def originals(tmp_path: Path, records: dict[int, Record]) -> Originals:
    return Originals(Shelf(records), Fetcher(FetchRules(file_roots=(tmp_path,))))


def test_an_original_comes_from_its_record_or_from_where_that_refers_to(tmp_path: Path, revolver: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(revolver)
    reference = f'{{"uri": "{(tmp_path / "a.jpg").as_uri()}"}}'.encode()
    kind = (("content-type", b"application/json"),)
    given = {1: Record(Origin("i", 0, 1), None, revolver), 2: Record(Origin("i", 0, 2), None, reference, kind)}
    shelf, content = originals(tmp_path, given), hashlib.sha256(revolver).hexdigest()
    assert shelf.fetch("i/0/1", content) == shelf.fetch("i/0/2", content) == revolver
    with pytest.raises(OriginalGone, match="no longer retained"):
        shelf.fetch("i/0/3", content)
    with pytest.raises(OriginalGone, match="an image other than the judged one"):
        shelf.fetch("i/0/1", "0" * 64)
    address = (tmp_path / "a.jpg").as_uri()
    assert shelf.fetch("i/0/3", content, address) == revolver, "the record is gone, where it referred to is not"
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(OriginalGone, match=r"a\.jpg"):
        shelf.fetch("i/0/2", content)
    with pytest.raises(OriginalGone, match="not the position of a record"):
        shelf.fetch("nowhere", content)


@pytest.fixture
def session(tmp_path: Path, population: Population, revolver: bytes) -> LabellingSession:
    labelling = Labelling(
        population.draw(10, 1), population.scores, target=0.8, confidence=0.95, rng=np.random.default_rng(1)
    )
    candidates = [
        Candidate(place, f"i/0/{place}", f"e{place}", "shop", "c", flagged=bool(population.before[place]))
        for place in labelling.order
    ]
    return LabellingSession(
        "p", candidates, labelling, lambda *_: revolver, file=tmp_path / "labels.jsonl", reviewer="ana"
    )


def test_every_answer_is_in_the_file_and_an_undone_one_is_not(
    session: LabellingSession, population: Population, tmp_path: Path
) -> None:
    session.answer(0, Answer.FLAG)
    assert session.number == 0, "nobody has looked at it"
    for number, answer in enumerate((Answer.FLAG, Answer.UNSURE, Answer.FINE, Answer.SKIP, Answer.FLAG)):
        session.clear(number)
        session.answer(number, answer)
    session.answer(1, Answer.FLAG)
    assert session.number == 5, "an answer to an image that is not next is not noted"
    session.undo()
    lines = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert len(lines) == len(session.decisions()) == 2
    first, third = session.decisions()
    flagged = session.candidates[0].flagged
    assert first.ruling is Ruling.of(flagged=flagged, right=True)
    assert third.event_id == session.candidates[2].event_id
    assert 0 < (first.probability or 0) <= 0.2, "two of ten were decided"


def test_a_copy_of_a_picture_is_known_by_its_hash(session: LabellingSession) -> None:
    assert session.blurred(0).startswith(b"\xff\xd8")
    for number in (0, 1):
        session.clear(number)
        session.answer(number, Answer.FLAG)
    first, copy = session.decisions()
    assert first.picture == copy.picture is not None
    with pytest.raises(OriginalGone, match="10 images"):
        session.clear(10)


def test_a_file_that_is_there_is_not_written_over(session: LabellingSession, tmp_path: Path) -> None:
    session.answer(0, Answer.SKIP)
    with pytest.raises(UsageError, match="already exists"):
        LabellingSession("p", session.candidates, session._labelling, lambda *_: b"", file=session.file, reviewer="ana")


def test_an_answer_that_cannot_be_written_is_not_noted(session: LabellingSession, tmp_path: Path) -> None:
    session.clear(0)
    (tmp_path / "labels.jsonl.part").mkdir()
    with pytest.raises(OSError, match="labels"):
        session.answer(0, Answer.FLAG)
    assert session.number == 0
    (tmp_path / "labels.jsonl.part").rmdir()
    session.answer(0, Answer.FLAG)
    assert session.number == 1


def test_a_sample_smaller_than_the_strata_forgets_none_of_them() -> None:
    scores = np.arange(1000, dtype=np.float64)
    strata = draw_sample(scores, scores > 980, scores > 900, 3, np.random.default_rng(1))
    assert sum(len(each.drawn) for each in strata) == 3
    assert sum(len(each.members) for each in strata) == 1000
    labelling = Labelling(strata, scores, target=0.8, confidence=0.95, rng=np.random.default_rng(1))
    assert labelling.findings({}, {}).newly_flagged.images == 80
