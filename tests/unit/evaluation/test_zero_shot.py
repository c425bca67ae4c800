"""Zero-shot labels and search."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.search.zero_shot import label_probabilities, label_vectors, nearest


def test_a_label_is_the_mean_direction_of_its_templates() -> None:
    known = {"a photo of x": [1.0, 0.0], "x": [0.0, 1.0]}

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([known[text] for text in texts], dtype=np.float32)

    np.testing.assert_allclose(label_vectors(["x"], ["a photo of {}", "{}"], encode), [[0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    vectors = np.eye(3, dtype=np.float32)
    found = label_probabilities(vectors[:2], vectors, 2.0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0], np.exp([2, 0, 0]) / np.exp([2, 0, 0]).sum())
    assert np.isfinite(label_probabilities(vectors, vectors, 10_000.0)).all()


def test_the_nearest_come_first_and_equal_cosines_keep_their_order() -> None:
    embeddings = np.array([[1, 0], [0, 1], [0, 1], [0.6, 0.8]], dtype=np.float32)
    hits = nearest(embeddings, np.array([0, 1], dtype=np.float32), 3)
    assert [hit.index for hit in hits] == [1, 2, 3]
    assert hits[0].cosine == 1.0
