"""Directories of tags in TIFF, Exif and multi-picture JPEG files, with limits on entries and values."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.ingest.structure_parts import bounded, corrupt

MAX_ENTRIES = 1_000
# Values that Pillow turns into Python objects one by one.
MAX_RATIONALS = 1_000
MAX_NUMBERS = 200_000

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
_RATIONALS = frozenset({5, 10})
_RAW = frozenset({1, 2, 6, 7})  # kept as bytes or text
_EXIF_PREFIX = b"Exif\0\0"


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte order and size of offsets: 4 bytes in `classic` TIFF, 8 in BigTIFF."""

    order: str
    classic: bool

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("H" if self.classic else "Q"))

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHI4s" if self.classic else "HHQ8s"))

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("I" if self.classic else "Q"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag's values: their TIFF type, their number, and their position in the file."""

    type: int
    count: int
    position: int

    def numbers(self, data: bytes, layout: Layout) -> tuple[int, ...]:
        """Return the values of an entry of integers. Raises `RecordFault` if they are outside the file."""
        letter = _LETTERS.get(self.type)
        if letter is None:
            raise corrupt(f"a tag that must be a whole number has type {self.type}")
        try:
            return struct.unpack_from(f"{layout.order}{self.count}{letter}", data, self.position)
        except struct.error as error:
            raise corrupt("a tag's values lie outside the file") from error


Directory = dict[int, Entry]


def layout_of(data: bytes) -> Layout:
    """Return the layout in the TIFF header at the start of `data`."""
    order = "<" if data[:2] == b"II" else ">"
    return Layout(order, classic=data[2:3] != b"+")  # Pillow checks only this byte: 43 is BigTIFF


def first_directory(data: bytes, layout: Layout) -> int:
    """Return the offset of the first directory. Raises `RecordFault`."""
    try:
        return int(layout.offset.unpack_from(data, 4 if layout.classic else 8)[0])
    except struct.error as error:
        raise corrupt("the header ends early") from error


def read_directory(data: bytes, offset: int, layout: Layout, large: frozenset[int] = frozenset()) -> Directory:
    """
    Return the first entry of each tag in the directory at `offset`; none if there is no directory.

    Tags in `large` may have any number of values. Raises `RecordFault` with `too_costly` for more entries or values
    than usual files have.
    """
    if offset + layout.count.size > len(data):
        return {}
    entries = layout.count.unpack_from(data, offset)[0]
    bounded("entries in a directory of tags", entries, MAX_ENTRIES)
    found: Directory = {}
    rationals = numbers = 0
    for tag, entry in _entries(data, offset, entries, layout):
        if tag in found:
            continue
        found[tag] = entry
        rationals += entry.count if entry.type in _RATIONALS else 0
        numbers += entry.count if entry.type not in _RAW and tag not in large else 0
    bounded("rational values in a directory of tags", rationals, MAX_RATIONALS)
    bounded("values in a directory of tags", numbers, MAX_NUMBERS)
    return found


def _entries(data: bytes, offset: int, entries: int, layout: Layout) -> Iterator[tuple[int, Entry]]:
    entry, inline = layout.entry, layout.offset.size
    start = offset + layout.count.size
    for position in range(start, min(start + entries * entry.size, len(data) - entry.size + 1), entry.size):
        tag, kind, count, value = entry.unpack_from(data, position)
        size = count * _BYTES.get(kind, 0)
        start = position + entry.size - inline if size <= inline else layout.offset.unpack(value)[0]
        if size > 0 and start + size <= len(data):  # Pillow and libtiff skip other entries
            yield tag, Entry(kind, count, start)


def check_exif(block: bytes) -> None:
    """Raise `RecordFault` with `too_costly` when an Exif block, with or without its prefix, is too costly to read."""
    while block.startswith(_EXIF_PREFIX):
        block = block[len(_EXIF_PREFIX) :]
    if block[:2] not in {b"II", b"MM"} or len(block) < 16:  # noqa: PLR2004 -- a header and the smallest directory
        return
    layout = layout_of(block)
    read_directory(block, first_directory(block, layout), layout)
