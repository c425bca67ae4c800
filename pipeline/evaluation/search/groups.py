"""
Archived images similar to an incident's examples: their list, groups of copies, and the mean direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.search import Neighbour
from pipeline.evaluation.stats.near_duplicates import clusters_of


@dataclass(frozen=True, slots=True)
class Group:
    """Archived images that are copies of one another, the nearest first."""

    images: tuple[Neighbour, ...]

    @property
    def cosine(self) -> float:
        """The highest cosine between an image of the group and an example."""
        return self.images[0].cosine

    @property
    def sources(self) -> list[str]:
        """Sources of the group's events, each once."""
        return sorted({each.source for each in self.images})


def merged(results: Sequence[Sequence[Neighbour]]) -> list[Neighbour]:
    """Return the neighbours of several examples, each once, with its highest cosine, the nearest first."""
    best: dict[str, Neighbour] = {}
    for each in (neighbour for result in results for neighbour in result):
        if each.key not in best or each.cosine > best[each.key].cosine:
            best[each.key] = each
    return sorted(best.values(), key=lambda each: (-each.cosine, each.key))


def grouped(found: Sequence[Neighbour], hashes: Mapping[str, NDArray[np.bool_]]) -> list[Group]:
    """
    Return groups of copies, the nearest first: images with the same bytes or a similar difference hash.

    `hashes`: by record, for the images that are still available.
    """
    clusters = clusters_of([each.content for each in found], [hashes.get(each.key) for each in found])
    groups = [
        Group(tuple(each for each, c in zip(found, clusters, strict=True) if c == k)) for k in np.unique(clusters)
    ]
    return sorted(groups, key=lambda group: (-group.cosine, group.images[0].key))


def mean_direction(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the direction of the mean of `vectors`, float32 [N, D], unit length: float64 [D], unit length."""
    mean = vectors.astype(np.float64).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
