"""Structure of a TIFF's first page: its tags, and the strips or tiles that libtiff decodes one by one."""

from dataclasses import dataclass

from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_ifd import Directory, Layout, first_directory, layout_of, read_directory
from pipeline.ingest.structure_parts import Structure, bounded, check_memory, check_size, corrupt

MAX_PARTS = 20_000  # strips or tiles
# Decoded bytes of all parts, including padding.
MAX_PART_BYTES = 260_000_000
MAX_EXTRA_SCANS = 16  # of JPEGs in a TIFF, in addition to one per part

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANES = 256, 257, 258, 259, 262, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_ARRAYS = frozenset({_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES})
_SUB_DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS, interoperability
_RAW = 1
_JPEGS = frozenset({6, 7})
_MOST_SAMPLES = 8
_YCBCR = 6
_SEPARATE = 2


@dataclass(frozen=True, slots=True)
class _Page:
    data: bytes
    layout: Layout
    tags: Directory

    def number(self, tag: int, default: int) -> int:
        """Return the first value of an integer tag."""
        entry = self.tags.get(tag)
        return entry.numbers(self.data, self.layout)[0] if entry else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all values of an integer tag, none if the tag is missing."""
        entry = self.tags.get(tag)
        if entry is None:
            return ()
        bounded("strips or tiles", entry.count, MAX_PARTS)
        return entry.numbers(self.data, self.layout)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Strips or tiles: the number to decode, and the decoded size of each."""

    count: int
    size_bytes: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]


def tiff_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a TIFF. Raises `RecordFault`."""
    layout = layout_of(data)
    page = _Page(data, layout, read_directory(data, first_directory(data, layout), layout, _ARRAYS))
    for tag in _SUB_DIRECTORIES:
        if tag in page.tags:
            read_directory(data, page.number(tag, 0), layout)
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    if not width or not height:
        raise corrupt("no width or no height")
    check_size(width, height, limits)
    parts = _parts(page, width, height)
    check_memory(parts.size_bytes, limits)
    bounded("bytes of strips or tiles", parts.count * parts.size_bytes, MAX_PART_BYTES)
    if (compression := page.number(_COMPRESSION, _RAW)) != _RAW:
        _check_lengths(data, parts)
        if compression in _JPEGS:
            _check_scans(data, parts)
    return Structure("tiff", width, height, reader_bytes=2 * parts.size_bytes)


def _parts(page: _Page, width: int, height: int) -> _Parts:
    planes, bits = _depth(page)
    if _STRIP_OFFSETS in page.tags:
        across, down = width, max(1, min(height, page.number(_ROWS, height)))
        offsets, lengths = page.numbers(_STRIP_OFFSETS), page.numbers(_STRIP_BYTES)
    else:
        across, down = page.number(_TILE_WIDTH, width), page.number(_TILE_HEIGHT, height)
        offsets, lengths = page.numbers(_TILE_OFFSETS), page.numbers(_TILE_BYTES)
    if not across or not down:
        raise corrupt("tiles without width or height")
    count = -(-width // across) * -(-height // down) * planes
    bounded("strips or tiles", count, MAX_PARTS)
    return _Parts(count, -(-across * bits // 8) * down, offsets, lengths)


def _depth(page: _Page) -> tuple[int, int]:
    """Return the number of planes and the bits per pixel in one plane."""
    samples = page.number(_SAMPLES, 3 if page.number(_PHOTOMETRIC, 0) == _YCBCR else 1)
    bounded("samples a pixel", samples, _MOST_SAMPLES)
    bits = page.tags.get(_BITS)
    deepest = max(bits.numbers(page.data, page.layout)) if bits else 1
    if page.number(_PLANES, 1) == _SEPARATE:
        return max(1, samples), deepest
    # libtiff returns four bytes per pixel for YCbCr without JPEG compression.
    return 1, max(deepest * max(1, samples), 32 if page.number(_PHOTOMETRIC, 0) == _YCBCR else 1)


def _check_lengths(data: bytes, parts: _Parts) -> None:
    """Refuse strips that share bytes: otherwise each row of the picture could make libtiff decode a megabyte again."""
    if len(parts.offsets) <= 1:
        return
    if len(parts.lengths) < len(parts.offsets):
        raise corrupt(f"{len(parts.offsets)} strips or tiles, and the lengths of {len(parts.lengths)}")
    bounded("bytes of strips or tiles, which must not overlap,", sum(parts.lengths), len(data))


def _check_scans(data: bytes, parts: _Parts) -> None:
    lengths = parts.lengths or (len(data),) * len(parts.offsets)
    scans = sum(
        data.count(b"\xff\xda", offset, offset + length) for offset, length in zip(parts.offsets, lengths, strict=False)
    )
    bounded("JPEG scans in a TIFF", scans, len(parts.offsets) + MAX_EXTRA_SCANS)
