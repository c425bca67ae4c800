"""Pixels: what an encoder takes, what may be decoded, and a decoded image."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.events.records import ImageEvent

Resample = Literal["bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """
    The square an encoder takes: `size` pixels a side.

    `squash` scales the whole image into it, so nothing at the edges is hidden; `crop` scales the short side and keeps
    the middle. `resample` is the filter, with antialiasing, under PIL's name. `exact` forgoes the shortcuts for large
    images (a JPEG decoded at a fraction of its size, boxes averaged first): slower, and pixel for pixel what others'
    processors make.
    """

    size: int
    mode: Literal["squash", "crop"]
    resample: Resample = "bicubic"
    exact: bool = False


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """
    Limits of an image: its bytes, pixels and longer side, and the memory and CPU time that decoding it may take.

    All but the CPU time are checked before any pixel is allocated. `max_cpu_s` is kept where decoding runs in a process
    of its own, which is ended.
    """

    max_bytes: int = 10 << 20
    max_pixels: int = 50_000_000
    max_dimension: int = 20_000
    max_memory_bytes: int = 290 << 20
    max_cpu_s: float = 0.9


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels ready for an encoder: uint8 [size, size, 3], RGB. Width and height are the upright image's own."""

    pixels: NDArray[np.uint8]
    format: str
    width: int
    height: int
    animated: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded image bytes. `thumbnail`: a small JPEG, None where none is wanted or none could be made."""

    picture: Picture
    thumbnail: bytes | None


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """
    An event with its pixels. `content_digest` is the SHA-256 of the image's bytes, hexadecimal.

    `thumbnail`: a small JPEG to be kept with its embedding, None where none is wanted.
    """

    event: ImageEvent
    picture: Picture
    content_digest: str
    thumbnail: bytes | None = None
