"""
Structure of a JPEG: header segments, the frame, and the scans of a progressive one.

A progressive file may repeat empty scans, and each costs a pass over the coefficients of the whole picture. Pillow
reads the header segments in Python.
"""

import re
import struct
from dataclasses import dataclass, field

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits
from pipeline.ingest.structure_ifd import check_exif
from pipeline.ingest.structure_parts import Structure, bounded, check_size, corrupt

MAX_SEGMENTS = 1_000
MAX_STRAY_BYTES = 16_384  # between header segments: fill bytes and garbage
MAX_EXIF_SEGMENTS = 32  # Pillow appends each segment to a copy of the earlier ones
MAX_TABLE_BYTES = 8_192  # quantisation tables: four of 129 bytes are usual
MAX_RESOURCES = 4_096  # Photoshop resources, parsed in Python
MAX_SCANS = 256
# libjpeg reads a run of fill bytes again from its start whenever Pillow passes it more of the file.
MAX_FILL_BYTES = 256
# Coefficients visited, summed over scans. A usual file with ten scans visits each coefficient eight times, which for 50
# Mpx at 4:2:0 is 400 M.
MAX_VISITS = 800_000_000
# The arithmetic coder takes about this many times as long per coefficient.
ARITHMETIC_VISITS = 8

_HEADER_MARKER = re.compile(rb"\xff[^\xff\x00]", re.DOTALL)
# Within entropy-coded data, FF 00 is a data byte, and FF D0 to FF D7 are restart markers.
_SCAN_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_LENGTH = struct.Struct(">H")
_FRAME = struct.Struct(">BHHB")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xDE})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_BARE = frozenset({0x01, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # markers without a length
_TABLES, _SCAN, _END, _APP1, _APP13 = 0xDB, 0xDA, 0xD9, 0xE1, 0xED
_BLOCK = 64
_FILL = b"\xff" * MAX_FILL_BYTES
_MOST_COMPONENTS = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """Start-of-frame segment. `samples`: number of coefficients by component id."""

    marker: int
    width: int
    height: int
    samples: dict[int, int]


@dataclass(slots=True)
class _Header:
    frame: Frame | None = None
    scan: int = 0  # position of the first start-of-scan marker
    table_bytes: int = 0
    resources: int = 0
    exif: list[bytes] = field(default_factory=list)


def jpeg_structure(data: bytes, limits: ImageLimits) -> Structure:
    """Return the structure of `data`, a JPEG. Raises `RecordFault`."""
    header = _read_header(data)
    if header.exif:
        check_exif(b"".join(header.exif))
    frame = header.frame
    if frame is None:
        raise corrupt("no frame header before the first scan")
    check_size(frame.width, frame.height, limits)
    _check_fill(data, header.scan)
    whole = sum(frame.samples.values())
    if frame.marker not in _PROGRESSIVE and _components(data, header.scan) >= len(frame.samples):
        if frame.marker in _ARITHMETIC:
            bounded("coefficients to decode", whole * ARITHMETIC_VISITS, MAX_VISITS)
        return Structure("jpeg", frame.width, frame.height)
    _check_scans(data, header.scan, frame)
    return Structure("jpeg", frame.width, frame.height, reader_bytes=2 * whole)


def _read_header(data: bytes) -> _Header:
    header = _Header()
    position = 2
    segments = stray = 0
    while (found := _HEADER_MARKER.search(data, position)) is not None:
        segments += 1
        stray += found.start() - position
        bounded("header segments", segments, MAX_SEGMENTS)
        bounded("stray bytes between header segments", stray, MAX_STRAY_BYTES)
        marker = data[found.end() - 1]
        position = found.end()
        if marker == _SCAN:
            header.scan = found.start()
            return header
        if marker not in _BARE:
            end = position + max(2, _length(data, position))
            _take(header, marker, data, position + 2, end)
            position = end
    bounded("stray bytes between header segments", stray + len(data) - position, MAX_STRAY_BYTES)
    raise corrupt("no scan")


def _length(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise corrupt("the file ends in its header")
    return int(_LENGTH.unpack_from(data, position)[0])


def _take(header: _Header, marker: int, data: bytes, start: int, end: int) -> None:
    if marker in _FRAMES:
        if header.frame is not None:
            raise corrupt("two frame headers")
        header.frame = _frame(marker, data[start:end])
    elif marker == _TABLES:
        header.table_bytes += end - start
        bounded("bytes of quantisation tables", header.table_bytes, MAX_TABLE_BYTES)
    elif marker == _APP1 and data.startswith(b"Exif\0\0", start):
        header.exif.append(data[start + 6 if header.exif else start : end])
        bounded("Exif segments", len(header.exif), MAX_EXIF_SEGMENTS)
    elif marker == _APP13:
        header.resources += data.count(b"8BIM", start, end)
        bounded("Photoshop resources", header.resources, MAX_RESOURCES)


def _frame(marker: int, segment: bytes) -> Frame:
    if len(segment) < _FRAME.size:
        raise corrupt("the frame header ends early")
    _, height, width, count = _FRAME.unpack_from(segment)
    components = segment[_FRAME.size : _FRAME.size + 3 * count]
    if not 1 <= count <= _MOST_COMPONENTS or len(segment) != _FRAME.size + 3 * count or not width or not height:
        raise corrupt(f"a frame header of {count} components, {width}x{height}, in {len(segment)} bytes")
    factors = [(each >> 4, each & 15) for each in components[1::3]]
    if not all(1 <= across <= _MOST_COMPONENTS and 1 <= down <= _MOST_COMPONENTS for across, down in factors):
        raise corrupt("sampling factors that are not from 1 to 4")
    columns = -(-width // (8 * max(across for across, _ in factors)))
    rows = -(-height // (8 * max(down for _, down in factors)))
    samples = [columns * across * rows * down * _BLOCK for across, down in factors]
    return Frame(marker, width, height, dict(zip(components[::3], samples, strict=True)))


def _components(data: bytes, scan: int) -> int:
    return data[scan + 4] if scan + 4 < len(data) else 0


def _check_fill(data: bytes, scan: int) -> None:
    found = data.find(_FILL, scan)
    if found >= 0 and data.find(b"\xff\xd9", scan, found) < 0:
        raise RecordFault(DeadLetterReason.TOO_COSTLY, f"a run of fill bytes, the limit is {MAX_FILL_BYTES}")


def _check_scans(data: bytes, position: int, frame: Frame) -> None:
    scans = visits = 0
    weight = ARITHMETIC_VISITS if frame.marker in _ARITHMETIC else 1
    while (found := _SCAN_MARKER.search(data, position)) is not None and data[found.end() - 1] != _END:
        position, marker = found.end(), data[found.end() - 1]
        if marker in _BARE or position + 2 > len(data):
            continue
        if marker == _SCAN:
            scans += 1
            named = data[position + 3 : position + 3 + 2 * _components(data, found.start()) : 2]
            visits += weight * sum(frame.samples.get(each, 0) for each in named)
            bounded("scans", scans, MAX_SCANS)
            bounded("coefficients to visit in all scans", visits, MAX_VISITS)
        position += max(2, _length(data, position))
