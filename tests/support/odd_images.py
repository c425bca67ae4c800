"""Photographs of odd shapes: strips, very large, very small, turned by their EXIF orientation."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image

SIZES = [(1500, 60), (31, 500), (640, 480), (2000, 1500), (3001, 997), (20, 20)]
ORIENTATIONS = 8


def write_odd_images(folder: Path, photographs: Sequence[bytes], count: int) -> list[Path]:
    """Write `count` of the photographs, each in another shape, as JPEG and PNG in turn; returns the files."""
    made = []
    for number, data in enumerate(photographs[:: len(photographs) // count][:count]):
        size = SIZES[number % len(SIZES)]
        image = Image.open(BytesIO(data)).convert("RGB").resize(size, Image.Resampling.LANCZOS)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 1 + number % ORIENTATIONS
        made.append(folder / f"{number}.{'jpg' if number % 2 else 'png'}")
        image.save(made[-1], exif=exif)
    return made
