"""Search in the archive: the archived images nearest to a sentence or an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.search import Neighbour, nearest
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.ingest.folder import list_files
from pipeline.operations.images.pictures import Picture, archived_thumbnails, fetch_originals, picture_of
from pipeline.operations.restricted import RestrictedImages
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ArchiveSearch:
    """
    The images nearest to a query, the nearest first, and the number withheld because a restricted policy flags them.

    `pictures`: by record, empty if not requested.
    """

    images: tuple[Neighbour, ...]
    withheld: int
    model_digest: str
    pictures: Mapping[str, Picture] = field(default_factory=dict)


def search_archive(
    workbench: Workbench, query: str | Path, *, since: datetime | None, top: int, picture_side: int | None = None
) -> ArchiveSearch:
    """
    Return the `top` archived images nearest to a sentence, or to the image in a file.

    `picture_side`: the longer side of pictures in pixels, None for no pictures. Raises `UsageError`, `ArchiveError` and
    `BrokerFault`.
    """
    vector = _vector(workbench, query)
    restricted = RestrictedImages(workbench, "search")
    model = workbench.bundle.digest
    shown = restricted.left_out_of(nearest(workbench.archive, model, vector, top, since))
    pictures = {} if picture_side is None else _pictures(workbench, shown.images, picture_side)
    return ArchiveSearch(shown.images, shown.withheld, model, pictures)


def _vector(workbench: Workbench, query: str | Path) -> NDArray[np.float32]:
    if isinstance(query, str):
        vectors = workbench.encoder.encode_texts([query])
    else:
        _, vectors = embed_readable(list_files([query]), workbench.encoder, workbench.bundle.pixels)
    first: NDArray[np.float32] = vectors[0]
    return first


def _pictures(workbench: Workbench, images: tuple[Neighbour, ...], side: int) -> dict[str, Picture]:
    archived = archived_thumbnails(workbench, images)
    pictures: dict[str, Picture] = {}
    for original in fetch_originals(workbench, images, "fetching pictures"):
        if original.problem:
            workbench.progress.notify(original.problem)
        pictures[original.image.key] = picture_of(original, archived.get(original.image.key, b""), side)
    return pictures
