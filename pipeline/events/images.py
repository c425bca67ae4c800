"""Images: the pixel format of an encoder, limits for decoding, and decoded images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.events.records import ImageEvent

Resample = Literal["bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """
    The square input of an encoder, with `size` pixels per side.

    `squash` scales the whole image into it, so nothing at the edges is lost; `crop` scales the short side and keeps the
    middle. `resample` is the filter, with antialiasing, by PIL's name. `exact` does without the shortcuts for large
    images (decoding a JPEG at a fraction of its size, averaging boxes first). It is slower, and gives the same pixels
    as the usual CLIP processors.
    """

    size: int
    mode: Literal["squash", "crop"]
    resample: Resample = "bicubic"
    exact: bool = False


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """
    Limits of an image: its bytes, pixels and longer side, and the memory and CPU time for decoding it.

    All except the CPU time are checked before any pixel is allocated. `max_cpu_s` applies only if a separate process
    decodes the image; that process is then ended.
    """

    max_bytes: int = 10 << 20
    max_pixels: int = 50_000_000
    max_dimension: int = 20_000
    max_memory_bytes: int = 290 << 20
    max_cpu_s: float = 0.9


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels for an encoder: uint8 [size, size, 3], RGB. Width and height are those of the upright original."""

    pixels: NDArray[np.uint8]
    format: str
    width: int
    height: int
    animated: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded image bytes. `thumbnail`: a small JPEG, None if it is not wanted or could not be made."""

    picture: Picture
    thumbnail: bytes | None


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """
    An event with its pixels. `content_digest` is the SHA-256 of the image's bytes, hexadecimal.

    `thumbnail`: a small JPEG to store with the embedding, None if it is not wanted or could not be made.
    """

    event: ImageEvent
    picture: Picture
    content_digest: str
    thumbnail: bytes | None = None
