"""Cosines of embeddings, row by row."""

import numpy as np
from numpy.typing import NDArray


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each row of `a` with the same row of `b`, both float [N, D]: float64 [N]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.asarray((a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))
