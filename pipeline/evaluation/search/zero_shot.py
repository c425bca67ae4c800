"""Sentences as classes, and as queries (Radford et al. 2021, section 3.1)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32]]


def label_vectors(labels: Sequence[str], templates: Sequence[str], encode_texts: EncodeTexts) -> NDArray[np.float32]:
    """
    Return one direction a label, float32 [L, D], unit length: the mean over the templates.

    `encode_texts` maps N texts to float32 [N, D], unit length.
    """
    texts = [template.format(label) for label in labels for template in templates]
    means = encode_texts(texts).reshape(len(labels), len(templates), -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def label_probabilities(
    embeddings: NDArray[np.float32], vectors: NDArray[np.float32], logit_scale: float
) -> NDArray[np.float64]:
    """
    Return the probability of each label given that one of them is right, float64 [N, L].

    `embeddings`: float32 [N, D], `vectors`: float32 [L, D], unit length. The softmax of logit scale × cosine: with
    nothing fitting it still adds up to one, so this is no way to moderate.
    """
    logits = logit_scale * (embeddings.astype(np.float64) @ vectors.T.astype(np.float64))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def nearest(embeddings: NDArray[np.float32], vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """Return the places of the `count` embeddings, float32 [N, D], nearest to `vector`, with their cosines."""
    cosines = embeddings @ vector
    order = np.argsort(-cosines, kind="stable")[:count]
    return [(int(place), float(cosines[place])) for place in order]
