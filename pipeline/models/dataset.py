"""Labelled photographs, decoded into memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode
from pipeline.progress import NO_PROGRESS, Progress


@dataclass(frozen=True)
class LabelledImages:
    """Decoded photographs. `pixels`: uint8 [N, S, S, 3], RGB; `labels`: int64 [N], indices of `categories`."""

    categories: tuple[str, ...]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load_split(
    folder: Path, split: str, spec: PixelSpec, categories: tuple[str, ...], progress: Progress = NO_PROGRESS
) -> LabelledImages:
    """
    Decode one split with the worker's own decoder.

    Raises `RecordFault` for a photograph that a worker would refuse, and `UsageError` for a category that is not in
    `categories`.
    """
    rows = read_labels(folder / "labels.csv", split)
    index = {category: i for i, category in enumerate(categories)}
    if unknown := {row.category for row in rows} - index.keys():
        raise UsageError(
            f"`{folder / 'labels.csv'}`: the caption table has no {', '.join(sorted(unknown))}; "
            "pass a table with all categories with `--captions`"
        )
    pixels = np.empty((len(rows), spec.size, spec.size, 3), dtype=np.uint8)
    for i, row in enumerate(progress.track(rows, f"reading {split}", len(rows))):
        pixels[i] = decode(row.path.read_bytes(), spec, ImageLimits()).pixels
    labels = np.array([index[row.category] for row in rows], dtype=np.int64)
    return LabelledImages(categories, pixels, labels)
