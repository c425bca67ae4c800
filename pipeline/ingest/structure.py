"""
Checks of an image's bytes before any pixel is decoded or allocated.

They cost microseconds for usual files, and refuse files built to cost seconds or gigabytes. The module of each format
has its limits and their reasons.
"""

from collections.abc import Callable

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_bmp import bmp_structure
from pipeline.ingest.structure_gif import gif_structure
from pipeline.ingest.structure_jpeg import jpeg_structure
from pipeline.ingest.structure_parts import Structure
from pipeline.ingest.structure_png import png_structure
from pipeline.ingest.structure_tiff import tiff_structure
from pipeline.ingest.structure_webp import webp_structure

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_READERS: tuple[tuple[tuple[bytes, ...], Callable[[bytes, ImageLimits], Structure]], ...] = (
    ((b"\xff\xd8\xff",), jpeg_structure),
    ((b"\x89PNG\r\n\x1a\n",), png_structure),
    ((b"RIFF",), webp_structure),
    ((b"GIF87a", b"GIF89a"), gif_structure),
    ((b"BM",), bmp_structure),
    ((b"MM\0*", b"II*\0", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0"), tiff_structure),
)


def check_bytes(data: bytes, limits: ImageLimits) -> None:
    """Raise `RecordFault` with `empty` or `too_large`, by the number of bytes alone."""
    if not data:
        raise RecordFault(DeadLetterReason.EMPTY, "the image has no bytes")
    if len(data) > limits.max_bytes:
        raise RecordFault(DeadLetterReason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")


def structure_of(data: bytes, limits: ImageLimits) -> Structure:
    """
    Return the structure of the first frame of `data`.

    Raises `RecordFault` with `empty`, `too_large`, `unsupported_format`, `too_many_pixels`, `too_costly` or
    `corrupt_image`.
    """
    check_bytes(data, limits)
    for starts, read in _READERS:
        if data.startswith(starts) and (read is not webp_structure or data[8:12] == b"WEBP"):
            return read(data, limits)
    detail = f"not one of {', '.join(FORMATS)}; the bytes start with {data[:16].hex(' ')}"
    raise RecordFault(DeadLetterReason.UNSUPPORTED_FORMAT, detail)
