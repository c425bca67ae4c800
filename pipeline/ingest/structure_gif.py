"""Structure of a GIF up to its second picture. Pillow reads its blocks, extensions and stray bytes in Python."""

import struct

from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_parts import Structure, bounded, check_size, corrupt

MAX_BLOCKS = 100_000  # of up to 255 bytes; a usual file of 10 MiB has 41,000
MAX_EXTENSIONS = 5_000
MAX_STRAY_BYTES = 16_384  # between extensions and pictures

_SCREEN = struct.Struct("<6xHHBxx")
_PICTURE = struct.Struct("<HHHHB")
_EXTENSION, _COMMA, _TRAILER = 0x21, 0x2C, 0x3B
_PICTURES = 2  # later pictures are not read


class _Walk:
    """A position in a GIF, and counts of the parts before it."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self.blocks = self.extensions = self.stray = 0

    def picture(self) -> tuple[int, int] | None:
        """Skip the next picture; return its right and lower edges, None at the end of the file."""
        data = self.data
        while self.position < len(data) and (kind := data[self.position]) != _TRAILER:
            self.position += 1
            if kind == _COMMA:
                return self._described()
            if kind == _EXTENSION:
                self.extensions += 1
                bounded("extensions", self.extensions, MAX_EXTENSIONS)
                self.position += 1
                self._skip_blocks()
            else:
                self.stray += 1
                bounded("stray bytes between blocks", self.stray, MAX_STRAY_BYTES)
        return None

    def _described(self) -> tuple[int, int]:
        if self.position + _PICTURE.size > len(self.data):
            raise corrupt("the file ends in a picture's header")
        left, top, width, height, flags = _PICTURE.unpack_from(self.data, self.position)
        self.position += _PICTURE.size + _table_bytes(flags) + 1  # the size of the first code
        self._skip_blocks()
        return left + width, top + height

    def _skip_blocks(self) -> None:
        data, position, end = self.data, self.position, len(self.data)
        left = MAX_BLOCKS - self.blocks
        while position < end and data[position] and left >= 0:
            position += data[position] + 1
            left -= 1
        self.position, self.blocks = position + 1, MAX_BLOCKS - left
        bounded("blocks", self.blocks, MAX_BLOCKS)


def gif_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a GIF. Raises `RecordFault`."""
    if len(data) < _SCREEN.size:
        raise corrupt("the file ends in its header")
    width, height, flags = _SCREEN.unpack_from(data)
    check_size(width, height, limits)
    walk = _Walk(data, _SCREEN.size + _table_bytes(flags))
    edges = walk.picture()
    if edges is None:
        raise corrupt("no picture")
    width, height = max(width, edges[0]), max(height, edges[1])
    check_size(width, height, limits)
    walk.picture()
    return Structure("gif", width, height, reader_bytes=2 * width * height)  # the background and the saved area


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
