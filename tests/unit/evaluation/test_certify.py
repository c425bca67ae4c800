"""Certification of a threshold's precision: sufficient evidence, insufficient evidence, and the error rate."""

import math

import numpy as np
import pytest

from pipeline.evaluation.stats.certification import Certified, Labels, Refused, certify, flawless, sorted_by_answer
from tests.support.calibration import balanced, scenarios

DRAWS = 200


def given(right: list[bool], *, weights: list[float] | None = None, clusters: list[int] | None = None) -> Labels:
    """Labels of falling scores 1, 0.99, 0.98 …"""
    count = len(right)
    return Labels(
        1 - np.arange(count) / 100,
        np.array(right),
        np.array(weights or [1.0] * count),
        np.array(clusters if clusters is not None else range(count)),
    )


def test_fifty_nine_flawless_flags_certify_95_percent() -> None:
    assert flawless(0.95, 0.95) == 59
    found = certify(given([True] * 59), 0.95, 0.95)
    assert isinstance(found, Certified)
    assert (found.flags, found.hits) == (59, 59)
    assert found.threshold == pytest.approx(0.42)
    assert isinstance(certify(given([True] * 58), 0.95, 0.95), Refused)


def test_too_few_labels_are_refused_with_the_missing_number() -> None:
    found = certify(given([True] * 40), 0.95, 0.95)
    assert found == Refused("40 labels of different images", 19)


def test_failing_labels_are_refused_with_the_missing_hits() -> None:
    found = certify(given([True] * 50 + [False] * 9), 0.95, 0.95)
    assert isinstance(found, Refused)
    assert "50 of 59 labels" in found.reason
    more = given([True] * (50 + found.missing) + [False] * 9)
    assert 150 < found.missing < 300
    assert isinstance(certify(more, 0.95, 0.95), Certified)


def test_the_lowest_threshold_before_the_first_that_fails_is_taken() -> None:
    found = certify(given([True] * 120 + [False] * 60 + [True] * 400), 0.95, 0.95)
    assert isinstance(found, Certified)
    assert 93 <= found.flags < 140


def test_copies_of_an_image_are_no_evidence() -> None:
    assert isinstance(certify(given([True] * 200, clusters=[place // 4 for place in range(200)]), 0.95, 0.95), Refused)


def test_a_label_counts_with_its_weight() -> None:
    """
    The same answers twice: with equal weights, and with wrong ones sampled rarely, so that each stands for many images.
    """
    answers = ([True] * 30 + [False]) * 10
    alike = certify(given(answers), 0.9, 0.95)
    rare = certify(given(answers, weights=[1.0 if right else 20.0 for right in answers]), 0.9, 0.95)
    assert isinstance(alike, Certified)
    assert isinstance(rare, Refused)


def test_balanced_labels_are_weak_evidence_about_a_rare_harm() -> None:
    """
    With a base rate of one in a thousand, 0.95 takes tens of thousands of flagged labels, even for a perfect policy.
    """
    labels = balanced(600, np.random.default_rng(1))
    found = certify(labels, 0.95, 0.95)
    assert isinstance(found, Refused)
    assert 40_000 < found.missing < 80_000


@pytest.mark.parametrize("scenario", scenarios())
def test_a_certificate_is_hardly_ever_wrong(scenario: str) -> None:
    """At most 5 % of draws are wrong, plus a margin for the small number of draws; `make prove` has two thousand."""
    rng, draw = np.random.default_rng(11), scenarios()[scenario]
    wrong = sum(draw(rng) for _ in range(DRAWS))
    assert wrong / DRAWS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)


def test_the_order_of_a_file_certifies_nothing() -> None:
    """Labels of unequal weight that are sorted by answer are no better evidence than shuffled ones."""
    rng = np.random.default_rng(3)
    certified = 0
    for _ in range(40):
        scores = rng.random(600)
        right = np.sort(rng.random(600) < 0.9)[::-1]
        labels = Labels(scores, right, rng.choice([1.0, 2.0], 600), np.arange(600))
        certified += isinstance(certify(labels, 0.95, 0.95), Certified)
    assert certified <= 4
    assert sorted_by_answer(np.sort(rng.random(200) < 0.5))
    assert not any(sorted_by_answer(rng.random(200) < 0.9) for _ in range(200))
