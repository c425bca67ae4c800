"""Thumbnails of images for pages: JPEG bytes, or None where an image cannot be decoded."""

from pathlib import Path

from pipeline.errors import RecordFault
from pipeline.ingest.decode import thumbnail


def thumbnail_of_bytes(content: bytes, side: int) -> bytes | None:
    """Return a thumbnail whose longer side is at most `side` pixels."""
    try:
        return thumbnail(content, side)
    except RecordFault:
        return None


def thumbnail_of_file(file: Path, side: int) -> bytes | None:
    """Return the thumbnail of a file, None also where the file cannot be read."""
    try:
        return thumbnail_of_bytes(file.read_bytes(), side)
    except OSError:
        return None
