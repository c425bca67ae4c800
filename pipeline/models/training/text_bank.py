"""Captions of a labelled set as vectors of a locked text space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.models.captions import Captions, with_article

# The caption of a group matches many categories, so it counts less for each.
GROUP_SHARE = 0.3

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class TextBank:
    """
    Vectors of captions, and the categories they match.

    `vectors`: float32 [T, K, D], every caption in every template, unit length. `owners`: float32 [C, K], the degree to
    which a caption matches a category. `plain`: float32 [C, D], mean directions of the plain names over templates;
    `centres`: float32 [C, D], mean directions of all names over templates.
    """

    vectors: NDArray[np.float32]
    owners: NDArray[np.float32]
    plain: NDArray[np.float32]
    centres: NDArray[np.float32]

    @classmethod
    def build(cls, captions: Captions, embed: Embed) -> Self:
        """Embed every caption in every template; `embed` maps N texts to float32 [N, D], unit length."""
        names = [(name, i) for i, category in enumerate(captions.categories) for name in captions.names[category]]
        phrases = [name for name, _ in names] + list(captions.groups)
        texts = [with_article(template.format(phrase)) for template in captions.templates for phrase in phrases]
        vectors = embed(texts).reshape(len(captions.templates), len(phrases), -1)
        own = np.array([[float(owner == i) for _, owner in names] for i in range(len(captions.categories))])
        owners = np.concatenate([own, GROUP_SHARE * captions.membership()], axis=1).astype(np.float32)
        means = vectors[:, : len(names)].mean(axis=0)
        first = [[owner for _, owner in names].index(i) for i in range(len(captions.categories))]
        return cls(vectors, owners, _directions(means[first]), _directions(own @ means))


def _directions(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
