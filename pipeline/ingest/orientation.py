"""Orientation of images by their EXIF block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


SIDEWAYS = frozenset({5, 6, 7, 8})


def orientation_of(image: Image.Image) -> Any:
    """Return the orientation in the EXIF block: 1 to 8, or any other value in a hostile file."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) else 1


def upright(image: Image.Image, orientation: Any) -> Image.Image:
    """Return the image rotated and mirrored so that it is upright."""
    return image.transpose(TRANSPOSE[orientation]) if orientation in TRANSPOSE else image


def as_stored(pixels: NDArray[np.uint8], orientation: Any) -> NDArray[np.uint8]:
    """Return a view of upright `pixels` in the order of rows and columns of the stored image."""
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels.transpose(1, 0, 2) if orientation in SIDEWAYS else pixels
