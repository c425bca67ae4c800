"""The space of the towers: a sentence encoder's space, centred, mildly whitened, in fewer dimensions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Sentence vectors crowd along a few directions of style rather than content. Dividing each direction by its spread to
# this power gives the others more weight: 0 changes nothing, 1 is full whitening.
WHITENING = 0.4


@dataclass(frozen=True)
class TextSpace:
    """`mean`: float32 [E]; `basis`: float32 [E, D], directions of decreasing spread, scaled."""

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], dimension: int) -> Self:
        """Fit the space on sentence vectors, float32 [N, E], of phrases of many kinds."""
        mean = vectors.mean(axis=0)
        covariance = np.cov((vectors - mean).T.astype(np.float64))
        spread, directions = np.linalg.eigh(covariance)
        first = np.argsort(spread)[::-1][:dimension]
        basis = directions[:, first] * spread[first] ** (-WHITENING / 2)
        return cls(mean.astype(np.float32), basis.astype(np.float32))

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map sentence vectors, float32 [N, E], to float32 [N, D], unit length."""
        projected = (vectors - self.mean) @ self.basis
        return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True), dtype=np.float32)
