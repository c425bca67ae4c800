"""Embeddings of image files, with a reason for each file that has none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RecordFault, UsageError
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode

BATCH = 32


class ImageTower(Protocol):
    """Image encoder: maps uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length. Blocks until it is done."""

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """A file and its embedding, float32 [D], unit length."""

    file: Path
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is not a readable image, and the reason."""

    file: Path
    reason: str


def embed_files(
    files: Iterable[Path], tower: ImageTower, spec: PixelSpec, limits: ImageLimits
) -> Iterator[Embedded | Unreadable]:
    """Yield one outcome for each file, in order; files are embedded in batches."""
    remaining = iter(files)
    while batch := [_decode(file, spec, limits) for file in islice(remaining, BATCH)]:
        readable = [pixels for _, pixels in batch if isinstance(pixels, np.ndarray)]
        embeds = iter(tower.encode_images(np.stack(readable)) if readable else ())
        for file, pixels in batch:
            yield Unreadable(file, pixels) if isinstance(pixels, str) else Embedded(file, next(embeds))


def embed_readable(files: Iterable[Path], tower: ImageTower, spec: PixelSpec) -> tuple[list[Path], NDArray[np.float32]]:
    """
    Return the readable files, under the default limits, and their embeddings, float32 [N, D].

    Raises `UsageError` when no file is readable.
    """
    outcomes = embed_files(files, tower, spec, ImageLimits())
    found = [outcome for outcome in outcomes if isinstance(outcome, Embedded)]
    if not found:
        raise UsageError("none of the files is an image that can be read")
    return [each.file for each in found], np.stack([each.embedding for each in found])


def _decode(file: Path, spec: PixelSpec, limits: ImageLimits) -> tuple[Path, NDArray[np.uint8] | str]:
    """Return the file with its pixels, or with the reason why it has none."""
    try:
        with file.open("rb") as content:
            data = content.read(limits.max_bytes + 1)
        return file, decode(data, spec, limits).pixels
    except RecordFault as fault:
        return file, str(fault)
    except OSError as error:
        return file, f"cannot be read: {error.strerror or error}"
