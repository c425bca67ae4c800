"""Structure of a WebP: its canvas, for which Pillow's reader needs many bytes per pixel, and its Exif block."""

import struct

from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_ifd import check_exif
from pipeline.ingest.structure_parts import Structure, bounded, check_memory, check_size, corrupt

MAX_CHUNKS = 20_000
# Two canvases, a frame, its copy for Pillow, and the picture and tables of the lossless decoder.
BYTES_A_PIXEL = 18
_COPIES = 3  # of the file

_CHUNK = struct.Struct("<4sI")
_FIRST = 12
_BODY = 20


def webp_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a WebP. Raises `RecordFault`."""
    try:
        width, height = _canvas(data)
    except struct.error as error:
        raise corrupt("the file ends in its header") from error
    check_size(width, height, limits)
    reader = BYTES_A_PIXEL * width * height + _COPIES * len(data)
    check_memory(reader, limits)
    if data[_FIRST : _FIRST + 4] == b"VP8X":
        _check_chunks(data)
    return Structure("webp", width, height, reader)


def _canvas(data: bytes) -> tuple[int, int]:
    kind = data[_FIRST : _FIRST + 4]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, _BODY + 4)
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, _BODY + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, _BODY + 6)
        return width & 0x3FFF, height & 0x3FFF
    raise corrupt("no picture in the first chunk")


def _check_chunks(data: bytes) -> None:
    position = _FIRST
    chunks = 0
    while position + _CHUNK.size <= len(data):
        kind, length = _CHUNK.unpack_from(data, position)
        chunks += 1
        bounded("chunks", chunks, MAX_CHUNKS)
        if kind == b"EXIF":
            check_exif(data[position + _CHUNK.size : position + _CHUNK.size + length])
        position += _CHUNK.size + length + (length & 1)
