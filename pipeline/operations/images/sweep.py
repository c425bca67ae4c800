"""Sweep: archived images similar to an incident's examples, in groups of copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.search import Neighbour, nearest
from pipeline.counted import counted
from pipeline.digests import file_digest
from pipeline.errors import RecordFault
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.evaluation.search.groups import Group, grouped, merged
from pipeline.evaluation.stats.near_duplicates import HASHED_SIDE, difference_hash
from pipeline.ingest.decode import rgb, thumbnail
from pipeline.ingest.folder import list_files
from pipeline.operations.images.pictures import Picture, archived_thumbnails, fetch_originals, picture_of
from pipeline.operations.restricted import RestrictedImages
from pipeline.operations.workbench import Workbench

# Number of images below the minimum similarity whose cosines are reported.
NEAREST_BELOW = 3


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """
    Examples, the archived images to compare with them, and the minimum cosine similarity.

    `top`: number of nearest images to examine for each example. `picture_side`: the longer side of pictures in pixels,
    None for no pictures.
    """

    paths: tuple[Path, ...]
    since: datetime
    min_similarity: float
    top: int
    picture_side: int | None = None


@dataclass(frozen=True, slots=True)
class Examples:
    """An incident's readable example files and their embeddings, float32 [N, D], unit length."""

    files: tuple[Path, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sweep:
    """
    Groups of copies, the nearest first.

    `withheld`: number of images that a restricted policy flags. `only_examples`: every image found has the bytes of an
    example. `nearest_below`: the highest cosines under the minimum similarity. `top_reached`: more images than `top`
    may have the minimum similarity. `pictures`: by record, empty if not requested.
    """

    examples: Examples
    groups: tuple[Group, ...]
    withheld: int
    only_examples: bool
    nearest_below: tuple[float, ...]
    top_reached: bool
    pictures: Mapping[str, Picture]

    @property
    def images(self) -> int:
        """Number of images found."""
        return sum(len(group.images) for group in self.groups)


def sweep_archive(workbench: Workbench, request: SweepRequest) -> Sweep:
    """Find archived images similar to an incident's examples. Raises `UsageError`, `ArchiveError` and `BrokerFault`."""
    files, vectors = embed_readable(list_files(request.paths), workbench.encoder, workbench.bundle.pixels)
    restricted = RestrictedImages(workbench, "sweep")
    results = [
        nearest(workbench.archive, workbench.bundle.digest, vector, request.top, request.since) for vector in vectors
    ]
    near, below = _split(merged(results), request.min_similarity)
    shown = restricted.left_out_of(near)
    looked_at = _look_at(workbench, shown.images, request.picture_side)
    contents = set(map(file_digest, files))
    return Sweep(
        examples=Examples(tuple(files), vectors),
        groups=tuple(grouped(shown.images, looked_at.hashes)),
        withheld=shown.withheld,
        only_examples=all(each.content in contents for each in near),
        nearest_below=tuple(each.cosine for each in restricted.left_out_of(below[:NEAREST_BELOW]).images),
        top_reached=any(len(each) == request.top and each[-1].cosine >= request.min_similarity for each in results),
        pictures=looked_at.pictures,
    )


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """Difference hashes and pictures, by record, of the images that are still available."""

    hashes: Mapping[str, NDArray[np.bool_]]
    pictures: Mapping[str, Picture]


def _look_at(workbench: Workbench, images: Sequence[Neighbour], picture_side: int | None) -> _LookedAt:
    hashes: dict[str, NDArray[np.bool_]] = {}
    pictures: dict[str, Picture] = {}
    archived = {} if picture_side is None else archived_thumbnails(workbench, images)
    for original in fetch_originals(workbench, images, "looking for copies"):
        key = original.image.key
        if (hashed := _hash(original.content)) is not None:
            hashes[key] = hashed
        if picture_side is not None:
            pictures[key] = picture_of(original, archived.get(key, b""), picture_side)
    if gone := len(images) - len(hashes):
        workbench.progress.notify(
            f"{counted(gone, 'original')} no longer available: their copies are found only if the bytes are equal"
        )
    return _LookedAt(hashes, pictures)


def _hash(content: bytes | None) -> NDArray[np.bool_] | None:
    if content is None:
        return None
    try:
        return difference_hash(rgb(thumbnail(content, HASHED_SIDE)))
    except RecordFault:
        return None


def _split(found: Sequence[Neighbour], min_similarity: float) -> tuple[list[Neighbour], list[Neighbour]]:
    """Return the neighbours that have the minimum similarity, and the rest."""
    near = [each for each in found if each.cosine >= min_similarity]
    return near, [each for each in found if each.cosine < min_similarity]
