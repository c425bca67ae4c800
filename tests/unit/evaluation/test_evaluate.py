"""Average precision of a score, and the suggested threshold."""

import numpy as np
import pytest

from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.confusion import best_f1_threshold, confusion


def test_average_precision_of_known_rankings() -> None:
    relevant = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), relevant) == 1.0
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), relevant) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision(np.array([1.0]), np.array([False])))


def test_ties_do_not_flatter() -> None:
    """If all scores are equal, average precision is the share of relevant images."""
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25


def test_the_suggested_threshold_separates_what_can_be_separated() -> None:
    scores, relevant = np.array([5.0, 4.0, 1.0, 0.0]), np.array([True, True, False, False])
    assert best_f1_threshold(scores, relevant) == 2.5
    counts = confusion(scores >= 2.5, relevant)
    assert (counts.precision, counts.recall) == (1.0, 1.0)


def test_shares_of_nothing_are_unknown() -> None:
    counts = confusion(np.array([False]), np.array([False]))
    assert (counts.precision, counts.recall) == (None, None)
