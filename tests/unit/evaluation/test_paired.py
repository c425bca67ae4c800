"""Significance of a change: exact tests, their adjustment, and a bootstrap that keeps duplicates together."""

import math

import numpy as np
import pytest

from pipeline.evaluation.stats.intervals import bootstrap
from pipeline.evaluation.stats.paired_tests import holm, mcnemar, precision_change


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text], dtype=bool)


def test_mcnemar_counts_only_changed_answers() -> None:
    """Five of six changes are for the worse: 7 of the 64 outcomes of six coins are at least that bad."""
    change = mcnemar(flags("111110111100"), flags("000001111100"))
    assert (change.worsened, change.improved) == (5, 1)
    assert change.p_value == pytest.approx(7 / 64)


def test_without_a_change_the_p_value_is_one() -> None:
    assert mcnemar(flags("1100"), flags("1100")).p_value == 1


def test_holm_follows_the_published_procedure() -> None:
    """
    The smallest of four p-values is multiplied by 4, the next by 3, and so on; they never decrease and never exceed 1.
    """
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8})["a"] == 1


def test_holm_calls_hardly_any_unchanged_policy_worse() -> None:
    """Over twenty policies of pure noise, at most 5 % of draws have a false alarm, plus a margin for 400 draws."""
    rng = np.random.default_rng(3)
    called = 0
    for _ in range(400):
        before, after = rng.random((20, 40)) < 0.7, rng.random((20, 40)) < 0.7
        p_values = {policy: mcnemar(before[policy], after[policy]).p_value for policy in range(20)}
        called += min(holm(p_values).values()) < 0.05
    assert called / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_copies_of_an_image_add_no_confidence() -> None:
    """
    Ten copies of each image give the same interval as one; as different images they would give one a third as wide.
    """
    rng = np.random.default_rng(4)
    values = rng.random(40)
    alone = bootstrap(np.arange(40), lambda weights: weights @ values / weights.sum(axis=1))
    copied = np.repeat(values, 10)
    together = bootstrap(np.repeat(np.arange(40), 10), lambda weights: weights @ copied / weights.sum(axis=1))
    apart = bootstrap(np.arange(400), lambda weights: weights @ copied / weights.sum(axis=1))
    width = alone.upper - alone.lower
    assert together.upper - together.lower == pytest.approx(width, rel=0.1)
    assert apart.upper - apart.lower < width / 2


def test_a_bootstrap_without_data_gives_0_to_1() -> None:
    interval = bootstrap(np.array([], dtype=np.intp), lambda weights: weights.sum(axis=1))
    assert math.isnan(interval.value)
    assert (interval.lower, interval.upper) == (0, 1)


def test_a_loss_of_precision_is_distinguished_from_noise() -> None:
    right = flags("1" * 60 + "0" * 240)
    before, worse = right.copy(), right.copy()
    worse[60:90] = True
    clusters = np.arange(300)
    lost = precision_change(before, worse, right, clusters)
    assert lost.value == pytest.approx(60 / 90 - 1)
    assert lost.upper < 0
    one = right.copy()
    one[60] = True
    assert precision_change(before, one, right, clusters).upper >= 0
