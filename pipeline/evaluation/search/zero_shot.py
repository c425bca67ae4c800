"""Zero-shot classification and search: texts as classes and as queries (Radford et al. 2021, section 3.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32]]


def label_vectors(labels: Sequence[str], templates: Sequence[str], encode_texts: EncodeTexts) -> NDArray[np.float32]:
    """
    Return one direction for each label, float32 [L, D], unit length: the mean over the templates.

    `encode_texts` maps N texts to float32 [N, D], unit length.
    """
    texts = [template.format(label) for label in labels for template in templates]
    means = encode_texts(texts).reshape(len(labels), len(templates), -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def label_probabilities(
    embeddings: NDArray[np.float32], vectors: NDArray[np.float32], logit_scale: float
) -> NDArray[np.float64]:
    """
    Return the probability of each label, provided that exactly one of them applies, float64 [N, L].

    `embeddings`: float32 [N, D], `vectors`: float32 [L, D], unit length. The softmax of logit scale × cosine. The
    probabilities add up to one even where no label applies, so they are unfit for moderation.
    """
    logits = logit_scale * (embeddings.astype(np.float64) @ vectors.T.astype(np.float64))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Hit:
    """An embedding near a query: its index, and its cosine to the query."""

    index: int
    cosine: float


def nearest(embeddings: NDArray[np.float32], vector: NDArray[np.float32], count: int) -> list[Hit]:
    """Return the `count` embeddings, float32 [N, D], nearest to `vector`, float32 [D], the nearest first."""
    cosines = embeddings @ vector
    order = np.argsort(-cosines, kind="stable")[:count]
    return [Hit(int(index), float(cosines[index])) for index in order]
