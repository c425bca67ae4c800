"""The best precision that labels support, reported when they do not support the target."""

import numpy as np

from pipeline.evaluation.stats.certification import Labels
from pipeline.evaluation.stats.supported_precision import SCALE, Reached, best_supported, highest_reached
from tests.support.calibration import SLOPED, labels


def given(*positive: bool) -> Labels:
    """Labels of falling scores 1, 0.99, 0.98 …"""
    count = len(positive)
    return Labels(1 - np.arange(count) / 100, np.array(positive), np.ones(count), np.arange(count))


def test_the_highest_precision_needs_at_least_ten_labels() -> None:
    assert highest_reached(given(*[True] * 9)) is None
    found = highest_reached(given(*[True] * 9, *[False], *[True] * 10, *[False] * 30))
    assert found == Reached(0.95, 1 - 0.19, 20, 19)


def test_labels_that_are_all_right_support_less_than_they_measure() -> None:
    found = best_supported(given(*[True] * 30), 0.95, 0.95)
    assert found is not None
    assert found.precision in SCALE
    assert 0.75 <= found.precision < 0.95
    assert (found.hits, found.flags) == (30, 30)
    assert best_supported(given(*[False] * 30), 0.95, 0.95) is None


def test_a_supported_precision_is_true_in_nineteen_of_twenty_samples() -> None:
    """This holds although the best of several thresholds was chosen from the same labels."""
    rng = np.random.default_rng(11)
    found = [best_supported(labels(SLOPED, 200, rng), 1.0, 0.95) for _ in range(100)]
    wrong = sum(each is not None and SLOPED.precision(each.threshold) < each.precision for each in found)
    assert any(found)
    assert wrong <= 5
