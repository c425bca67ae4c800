"""A second label session counts the decisions of the first, and no session asks for labels that cannot help."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.evaluation.labelling.earlier import Earlier, draw_rest, kind_of
from pipeline.evaluation.labelling.estimates import Findings, Labelling, Reach
from pipeline.evaluation.stats.certification import Certified, Labels, Refused
from pipeline.evaluation.stats.stratified_sample import Kind
from pipeline.evaluation.stats.supported_precision import SCALE, best_supported, highest_reached
from pipeline.studio.label_figures import figures, labels_missing

IMAGES = 6_000


@dataclass(frozen=True)
class Population:
    """Images whose scores tell how likely they are right."""

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, seed: int) -> "Population":
        rng = np.random.default_rng(seed)
        scores = rng.normal(-1, 1.2, IMAGES)
        return cls(scores, rng.random(IMAGES) < 1 / (1 + np.exp(-3 * (scores - 1.4))))

    def session(self, threshold: float, seed: int, earlier: list[Earlier], *, target: float = 0.8) -> Labelling:
        """A session of 120 images about a threshold that was 2."""
        rng = np.random.default_rng(seed)
        before, after = self.scores >= 2, self.scores >= threshold
        strata = draw_rest(self.scores, before, after, 120, rng, {each.place for each in earlier})
        return Labelling(strata, self.scores, target=target, confidence=0.95, rng=rng, earlier=earlier)

    def answers(self, labelling: Labelling, count: int) -> dict[int, bool]:
        return {place: bool(self.right[place]) for place in labelling.order[:count]}

    def decided(self, labelling: Labelling, count: int, threshold: float) -> list[Earlier]:
        """What a later session about another threshold knows of a session's first answers."""
        share = count / len(labelling.order)
        return [
            Earlier(place, self.kind(place, threshold), right, labelling.probability(place) * share)
            for place, right in self.answers(labelling, count).items()
        ]

    def kind(self, place: int, threshold: float) -> Kind:
        return kind_of(before=bool(self.scores[place] >= 2), after=bool(self.scores[place] >= threshold))


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.of(3)


def test_a_second_session_begins_with_all_earlier_decisions_and_draws_none_of_them(population: Population) -> None:
    """Continued at once, its precision is that of the first session's end within a few hundredths."""
    first = population.session(1.5, 1, [])
    ended = first.findings(population.answers(first, 120), {})
    earlier = population.decided(first, 120, 1.5)
    second = population.session(1.5, 2, earlier)
    begun = second.findings({}, {})
    assert begun.labels == begun.earlier == 120
    assert abs(begun.precision.value - ended.precision.value) < 0.05
    assert not {each.place for each in earlier} & set(second.order)
    assert len(second.order) == 120
    assert begun.newly_flagged.labelled == ended.newly_flagged.labelled > 0


def test_two_sessions_tell_more_than_one_and_cover_the_truth(population: Population) -> None:
    """Whether the second is looked at in part, and when the threshold was edited between them."""
    for edited in (1.5, 1.2):
        truth = population.right[population.scores >= edited].mean()
        covered, narrower, values = 0, 0, []
        for seed in range(100):
            first = population.session(1.5, seed, [])
            earlier = population.decided(first, 120, edited)
            second = population.session(edited, 1000 + seed, earlier)
            begun = second.findings({}, {}).precision
            found = second.findings(population.answers(second, 60), {}).precision
            covered += not found.excludes(truth)
            narrower += found.upper - found.lower < begun.upper - begun.lower
            values.append(found.value)
        assert covered >= 93
        assert narrower >= 90
        assert abs(np.mean(values) - truth) < 3 * np.std(values) / 10


def test_a_decision_without_a_probability_stands_for_its_own_image_alone(population: Population) -> None:
    places = np.flatnonzero(population.scores >= 2)[:20].tolist()
    told = [Earlier(place, Kind.FLAGGED, right=True, probability=None) for place in places]
    found = population.session(1.5, 1, told).findings({}, {})
    assert found.earlier == 20
    assert found.precision.lower < 20 / found.flagged
    assert found.precision.upper == 1
    assert isinstance(found.threshold, Refused), "nobody knows how such images were chosen"


def test_everything_decided_before_is_known_whatever_is_drawn() -> None:
    scores = np.arange(10, dtype=np.float64)
    kinds = [Kind.FLAGGED if score > 5 else Kind.NEITHER for score in scores]
    told = [Earlier(place, kind, right=place > 7, probability=0.5) for place, kind in enumerate(kinds)]
    strata = draw_rest(scores, scores > 5, scores > 5, 10, np.random.default_rng(1), set(range(10)))
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1), earlier=told)
    found = labelling.findings({}, {})
    assert not labelling.order
    assert (found.flags_right, found.flags_labelled, found.flagged) == (2, 4, 4)
    assert found.precision.value == 0.5


def few_flags(wrong: int, count: int = 40) -> Findings:
    """A sample with 40 images over the threshold, all labelled, the first of them wrong."""
    scores = np.arange(100, dtype=np.float64)
    strata = draw_rest(scores, scores >= 60, scores >= 60, count, np.random.default_rng(1), set())
    labelling = Labelling(strata, scores, target=0.9, confidence=0.95, rng=np.random.default_rng(1))
    flagged = [place for place in labelling.order if scores[place] >= 60]
    answers = {place: number >= wrong for number, place in enumerate(flagged)}
    return labelling.findings(answers | dict.fromkeys(set(labelling.order) - set(flagged), False), {})


def threshold_of(found: Findings) -> str:
    return dict(figures(found))["threshold"]


def test_a_sample_that_was_too_often_wrong_asks_for_no_more_labels() -> None:
    found = few_flags(wrong=13, count=100)
    assert found.reach is Reach.TOO_MANY_WRONG
    told = threshold_of(found)
    assert told.startswith("not reachable from this sample: 27 of 40 labelled flags were right (68 %).")
    assert "Precision 0.9 needs other wording or a stricter threshold." in told
    assert found.supported is not None
    assert f"Best supported: {found.supported.precision:.2f} at threshold {found.supported.threshold:.3f}" in told
    assert "more label" not in told


def test_a_sample_that_is_too_small_says_how_to_draw_more() -> None:
    found = few_flags(wrong=0, count=20)
    assert found.reach is Reach.TOO_FEW
    told = threshold_of(found)
    assert told.startswith("not reachable from this sample: its images are too few for precision 0.9")
    assert "`--count`" in told


def test_a_sample_that_can_still_give_it_says_how_many_labels_that_takes(population: Population) -> None:
    found = population.session(1.5, 1, []).findings({}, {})
    assert found.reach is Reach.POSSIBLE
    assert threshold_of(found).startswith("none yet; at least ")
    assert "more label" in threshold_of(found)


def test_a_session_that_says_unreachable_never_reaches_it(population: Population) -> None:
    """Whatever the labels that are left say; and it asks for no more labels than there are images left."""
    for seed in range(20):
        labelling = population.session(1.5, seed, [], target=0.95)
        answers, told = {}, False
        for place in labelling.order:
            answers[place] = bool(population.right[place])
            found = labelling.findings(answers, {})
            assert not (told and isinstance(found.threshold, Certified))
            if isinstance(found.threshold, Refused) and found.reach is Reach.POSSIBLE:
                assert 0 < labels_missing(found, found.threshold) <= len(labelling.order) - len(answers)
            told = told or found.reach is not Reach.POSSIBLE
        assert told or isinstance(found.threshold, Certified)


def labels(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Labels:
    return Labels(scores, right, np.ones(len(scores)), np.arange(len(scores)))


def test_the_best_supported_precision_holds_in_nineteen_of_twenty_samples(population: Population) -> None:
    wrong = found = 0
    for seed in range(200):
        drawn = np.random.default_rng(seed).choice(np.flatnonzero(population.scores > 0.5), 150, replace=False)
        best = best_supported(labels(population.scores[drawn], population.right[drawn]), 1.0, 0.95)
        if best is not None:
            found += 1
            wrong += population.right[population.scores >= best.threshold].mean() < best.precision
    assert found > 150
    assert wrong <= 0.05 * 200 + 6


def test_what_is_supported_is_less_than_what_was_reached_and_both_are_below_the_target() -> None:
    right = np.arange(60) % 4 > 0
    given = labels(np.arange(60, dtype=np.float64), right)
    best, highest = best_supported(given, 0.9, 0.95), highest_reached(given)
    assert best is not None
    assert highest is not None
    assert best.precision in SCALE
    assert best.precision < highest.precision <= 1
    assert highest.precision == highest.hits / highest.flags
    assert best_supported(labels(np.arange(60.0), right & False), 0.9, 0.95) is None
