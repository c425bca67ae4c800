"""Building blocks of hostile images: a named recipe, filling to a size, and Pillow's encoders."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

FULL = (10 << 20) - 64  # just below the usual limit of bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """A hostile image: its name and what builds its bytes. `quick`: one of the worst of its kind."""

    name: str
    build: Callable[[], bytes]
    quick: bool = False


def filled(unit: bytes, size: int) -> bytes:
    """Return `unit` over and over, `size` bytes at most."""
    return unit * max(1, size // len(unit))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def noise(width: int, height: int, channels: int = 3, seed: int = 0) -> Image.Image:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
