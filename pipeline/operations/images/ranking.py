"""Rankings of files: the best labels for an image, and the images nearest to a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.search.zero_shot import label_probabilities, label_vectors, nearest
from pipeline.operations.images.embedding import embed_images
from pipeline.operations.images.thumbnails import thumbnail_of_file
from pipeline.operations.workbench import Workbench
from pipeline.policies.schema import DEFAULT_TEMPLATES


@dataclass(frozen=True, slots=True)
class TextScore:
    """A text and its score for one image: a label's probability, or a sentence's cosine."""

    text: str
    value: float


@dataclass(frozen=True, slots=True)
class RankedFile:
    """A file and its scores, the highest first. `thumbnail`: a JPEG, None if not requested."""

    file: Path
    scores: tuple[TextScore, ...]
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranked files, the numbers of readable and unreadable files, and the model's digest."""

    files: tuple[RankedFile, ...]
    images: int
    unreadable: int
    model_digest: str


def classify_files(
    workbench: Workbench, paths: Sequence[Path], labels: Sequence[str], *, top: int, thumbnail_side: int | None = None
) -> Ranking:
    """Return each image's `top` labels by probability, provided that exactly one label applies. Raises `UsageError`."""
    embedded = embed_images(workbench, paths, "classifying")
    vectors = label_vectors(labels, DEFAULT_TEMPLATES, workbench.encoder.encode_texts)
    rows = label_probabilities(embedded.embeddings, vectors, workbench.encoder.logit_scale)
    ranked = tuple(
        RankedFile(
            file,
            tuple(TextScore(labels[index], float(row[index])) for index in np.argsort(-row, kind="stable")[:top]),
            _thumbnail(file, thumbnail_side),
        )
        for file, row in zip(embedded.files, rows, strict=True)
    )
    return Ranking(ranked, len(embedded.files), embedded.unreadable, workbench.bundle.digest)


def search_files(
    workbench: Workbench, paths: Sequence[Path], text: str, *, top: int, thumbnail_side: int | None = None
) -> Ranking:
    """Return the `top` images with the highest cosine to a sentence. Raises `UsageError`."""
    embedded = embed_images(workbench, paths, "searching")
    [vector] = workbench.encoder.encode_texts([text])
    ranked = tuple(
        RankedFile(file, (TextScore(text, hit.cosine),), _thumbnail(file, thumbnail_side))
        for hit in nearest(embedded.embeddings, vector, top)
        for file in (embedded.files[hit.index],)
    )
    return Ranking(ranked, len(embedded.files), embedded.unreadable, workbench.bundle.digest)


def _thumbnail(file: Path, side: int | None) -> bytes | None:
    return None if side is None else thumbnail_of_file(file, side)
