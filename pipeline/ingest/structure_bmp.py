"""Structure of a BMP. Pillow decodes its run lengths in Python, byte by byte and in some cases pixel by pixel."""

import struct

from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_parts import Structure, bounded, check_size, corrupt

# One step is one pixel or two fifths of a byte, and takes about 70 ns.
MAX_RUN_LENGTH_STEPS = 6_000_000
_STEPS_A_BYTE = 2.5

_OLD_HEADER = 12
_OLD_SIZE = struct.Struct("<HH")
_SIZE = struct.Struct("<IIHHI")
_HEADER_AT = 14
_RUN_LENGTHS = frozenset({1, 2})


def bmp_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a BMP. Raises `RecordFault`."""
    try:
        (header,) = struct.unpack_from("<I", data, _HEADER_AT)
        if header == _OLD_HEADER:
            width, height = _OLD_SIZE.unpack_from(data, _HEADER_AT + 4)
            compression = 0
        else:
            width, height, _, _, compression = _SIZE.unpack_from(data, _HEADER_AT + 4)
    except struct.error as error:
        raise corrupt("the file ends in its header") from error
    if height >> 24 == 0xFF:  # noqa: PLR2004 -- rows from the top; Pillow checks this byte
        height = 2**32 - height
    check_size(width, height, limits)
    if compression not in _RUN_LENGTHS:
        return Structure("bmp", width, height)
    bounded("steps to undo run lengths", int(width * height + _STEPS_A_BYTE * len(data)), MAX_RUN_LENGTH_STEPS)
    return Structure("bmp", width, height, reader_bytes=3 * width * height)
