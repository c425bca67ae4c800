"""Cache of text embeddings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.text_cache import CachedTextEncoder


class Counting:
    """A text tower that records the texts it encodes."""

    model_digest, logit_scale = "m" * 64, 20.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        angles = np.array([len(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)


def test_a_text_is_encoded_once(tmp_path: Path) -> None:
    """The cache is a file that the next process reads; each model has separate entries."""
    tower, file = Counting(), tmp_path / "new/cache.sqlite"
    first = CachedTextEncoder(tower, file).encode_texts(["a", "bb", "a"])
    second = CachedTextEncoder(tower, file).encode_texts(["bb", "ccc"])
    assert tower.asked == ["a", "bb", "ccc"]
    np.testing.assert_allclose(first[:, 0], np.cos([1, 2, 1]), rtol=1e-6)
    np.testing.assert_allclose(second[:, 0], np.cos([2, 3]), rtol=1e-6)
    other = Counting()
    other.model_digest = "n" * 64
    CachedTextEncoder(other, file).encode_texts(["a"])
    assert other.asked == ["a"]


def test_a_broken_cache_only_costs_time(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"not a database, and long enough to be looked at" * 50)
    tower = Counting()
    assert CachedTextEncoder(tower, file).encode_texts(["a"]).shape == (1, 4)
    assert file.read_bytes().startswith(b"not a database")
