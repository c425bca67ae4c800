"""Structure of a PNG: its chunks, which Pillow reads one by one in Python, and the size of its filtered rows."""

import struct
from dataclasses import dataclass

from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_ifd import check_exif
from pipeline.ingest.structure_parts import Structure, bounded, check_size, corrupt

MAX_CHUNKS = 20_000
MAX_OTHER_CHUNKS = 2_000  # chunks without pixels
MAX_COMPRESSED_CHUNKS = 16  # texts and colour profiles: each may unpack to a megabyte
# Bytes of filtered rows. Reversing the Paeth filter takes about 3 ns per byte.
MAX_ROW_BYTES = 210_000_000

_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBxxB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIXELS = frozenset({b"IDAT", b"fdAT", b"DDAT"})
_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_TEXTS = frozenset({b"tEXt", b"iTXt"})
_FRAMING = 12  # length, type and checksum
_SIGNATURE = 8
_MEGABYTE = 1 << 20
# A text is kept as bytes and as a string with up to four bytes per character.
_TEXT_COPIES = 5


@dataclass(slots=True)
class _Counted:
    chunks: int = 0
    others: int = 0
    compressed: int = 0
    text_bytes: int = 0
    header: bytes = b""


def png_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a PNG. Raises `RecordFault`."""
    counted = _Counted()
    position = _SIGNATURE
    while position + _CHUNK.size <= len(data):
        length, kind = _CHUNK.unpack_from(data, position)
        counted.chunks += 1
        if kind not in _PIXELS:
            _take(counted, kind, data[position + _CHUNK.size : position + _CHUNK.size + length])
            if kind == b"IEND":
                break
        elif counted.chunks > MAX_CHUNKS:
            break
        position += length + _FRAMING
    bounded("chunks", counted.chunks, MAX_CHUNKS)
    return _structure(counted, limits)


def _take(counted: _Counted, kind: bytes, content: bytes) -> None:
    counted.others += 1
    bounded("chunks without pixels", counted.others, MAX_OTHER_CHUNKS)
    if kind == b"IHDR":
        if counted.header:
            raise corrupt("two header chunks")
        counted.header = content
    elif kind == b"eXIf":
        check_exif(content)
    if kind in _COMPRESSED:
        counted.compressed += 1
        bounded("compressed texts and profiles", counted.compressed, MAX_COMPRESSED_CHUNKS)
    if kind in _TEXTS:
        counted.text_bytes += len(content)


def _structure(counted: _Counted, limits: ImageLimits) -> Structure:
    if len(counted.header) < _HEADER.size:
        raise corrupt("no whole header chunk")
    width, height, depth, colours, _ = _HEADER.unpack_from(counted.header)
    check_size(width, height, limits)
    row = 1 + -(-width * depth * _CHANNELS.get(colours, 4) // 8)
    bounded("bytes of filtered rows", row * height, MAX_ROW_BYTES)
    texts = _TEXT_COPIES * (counted.compressed * _MEGABYTE + counted.text_bytes)
    return Structure("png", width, height, texts + 3 * row)
