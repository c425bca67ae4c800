"""Labelled photographs, decoded once into memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode


@dataclass(frozen=True)
class LabelledImages:
    """`pixels`: uint8 [N, S, S, 3], RGB; `labels`: int64 [N], places in `categories`."""

    categories: tuple[str, ...]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load_split(folder: Path, split: str, spec: PixelSpec, categories: tuple[str, ...]) -> LabelledImages:
    """
    Decode one split with the worker's own decoder.

    Raises `RecordFault` on a photograph it would refuse and `UsageError` on a category that is not among `categories`.
    """
    rows = read_labels(folder / "labels.csv", split)
    place = {category: i for i, category in enumerate(categories)}
    if unknown := {row.category for row in rows} - place.keys():
        raise UsageError(
            f"`{folder / 'labels.csv'}`: the caption table has no {', '.join(sorted(unknown))}; "
            "name a table with all categories by `--captions`"
        )
    pixels = np.empty((len(rows), spec.size, spec.size, 3), dtype=np.uint8)
    for i, row in enumerate(track(rows, description=f"reading {split}", console=Console(stderr=True))):
        pixels[i] = decode(row.path.read_bytes(), spec, ImageLimits()).pixels
    labels = np.array([place[row.category] for row in rows], dtype=np.int64)
    return LabelledImages(categories, pixels, labels)
