"""Hostile JPEGs: scans that say nothing, floods of header segments, large pictures of few bytes, dense ones of many."""

import struct
from collections.abc import Callable, Iterator
from functools import cache, partial

from PIL import Image

from tests.attack.image_corpus_parts import FULL, Recipe, encoded, filled, noise

_WORST = ("fill", "stray", "app-empty", "exif-empty", "exif-entries", "tables", "frames", "photoshop", "profile")
_SIDES = (1, 64, 512, 2048, 7000)
_COUNTS = (10, 30, 100, 250, 1_000, 0)
# Spectral selection and successive approximation of a scan: first and refining, of DC and of AC.
_SCANS = {"dc-first": (0, 0, 0x01), "dc-refine": (0, 0, 0x10), "ac-first": (1, 63, 0x01), "ac-refine": (1, 63, 0x10)}


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(marker: int, width: int, height: int, factors: tuple[int, ...] = (0x11,)) -> bytes:
    components = b"".join(bytes((i + 1, factor, 0)) for i, factor in enumerate(factors))
    return segment(marker, struct.pack(">BHHB", 8, height, width, len(factors)) + components)


def _table(kind: int, symbol: int) -> bytes:
    """Return a Huffman table with one code, `0`."""
    return segment(0xC4, bytes((kind, 1)) + bytes(15) + bytes((symbol,)))


def _scan(kind: str, width: int, height: int) -> bytes:
    start, end, approximation = _SCANS[kind]
    blocks = -(-width // 8) * -(-height // 8)
    runs = "".join(format(0x3FFF, "015b") for _ in range(blocks // 32767 + 1)) if end else "0" * blocks
    bits = runs + "1" * (-len(runs) % 8)
    content = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if kind != "dc-first" else b""
    return segment(0xDA, bytes((1, 1, 0, start, end, approximation))) + content[:4096]


def progressive(kind: str, side: int, count: int, marker: int = 0xC2) -> bytes:
    """Return a progressive JPEG with `count` scans of one kind, or with as many as fit."""
    tables = segment(0xDB, b"\0" + b"\1" * 64) + _table(0x00, 0) + _table(0x10, 0xE0)
    head = b"\xff\xd8" + tables + frame(marker, side, side) + _scan("dc-first", side, side)
    if kind == "ac-refine":
        head += _scan("ac-first", side, side)
    scan = _scan(kind, side, side)
    return head + (scan * count if count else filled(scan, FULL - len(head))) + b"\xff\xd9"


def _flooded(unit: bytes, size: int) -> bytes:
    """Return a small photograph with a flood before its own header."""
    seed = encoded(noise(64, 64), "JPEG")
    return seed[:2] + filled(unit, size - len(seed)) + seed[2:]


def _directory(entries: int, kind: int, count: int) -> bytes:
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", entries)
    body = b"".join(struct.pack("<HHII", i & 0xFFFF, kind, count, 8) for i in range(entries))
    return head + body + bytes(4)


def _exif(block: bytes) -> bytes:
    pieces = [block[i : i + 65_000] for i in range(0, len(block), 65_000)]
    return b"".join(segment(0xE1, b"Exif\0\0" + piece) for piece in pieces)


@cache
def _units() -> dict[str, bytes]:
    large = bytes(65_000)
    return {
        "fill": b"\xff",
        "stray": b"A",
        "stray-escaped": b"\xff\0",
        "app-empty": segment(0xE3, b""),
        "app-large": segment(0xE3, large),
        "comment-empty": segment(0xFE, b""),
        "exif-empty": segment(0xE1, b"Exif\0\0"),
        "exif-large": segment(0xE1, b"Exif\0\0" + large),
        "exif-entries": _exif(_directory(65_000, 4, 1)),
        "exif-rationals": _exif(_directory(1, 5, 200_000) + bytes(1_700_000)),
        "exif-rational-density": _exif(
            b"II*\0\x08\0\0\0"
            + struct.pack("<H", 3)
            + struct.pack("<HHII", 0x11A, 5, 8_000, 50)
            + struct.pack("<HHII", 0x11B, 5, 8_000, 50)
            + struct.pack("<HHII", 0x128, 5, 8_000, 50)
            + bytes(64_100)
        ),
        "tables": segment(0xDB, (b"\0" + b"\1" * 64) * 1_000),
        "tables-small": segment(0xDB, b"\0" + b"\1" * 64),
        "frames": segment(0xC0, struct.pack(">BHHB", 8, 64, 64, 3) + b"\1\x11\0" * 21_000),
        "huffman": _table(0, 0),
        "restart-interval": segment(0xDD, b"\0\1"),
        "restarts": b"\xff\xd0",
        "photoshop": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\0\0\0\0\0\0\0" * 5_000),
        "photoshop-small": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\0\0\0\0\0\0\0"),
        "multi-picture": segment(0xE2, b"MPF\0" + _directory(5_000, 4, 1)),
        "profile": segment(0xE2, b"ICC_PROFILE\0\1\1" + large),
        "profile-small": segment(0xE2, b"ICC_PROFILE\0\1\1"),
        "start": b"\xff\xd8",
        "end": b"\xff\xd9",
        "reserved": b"\xff\xf3",
        "xmp": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:Orientatio" * 4_000),
    }


def _large(side: int, **options: object) -> bytes:
    return encoded(Image.new("RGB", (side, side), (90, 90, 90)), "JPEG", quality=40, **options)


def _dense(mode: str, **options: object) -> bytes:
    return encoded(noise(2_300, 2_300, 4 if mode == "CMYK" else 3).convert(mode), "JPEG", quality=85, **options)


def _as_arithmetic(data: bytes) -> bytes:
    return data.replace(b"\xff\xc2", b"\xff\xca", 1).replace(b"\xff\xc0", b"\xff\xc9", 1)


def _built() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for side in (2_000, 7_000):
        for subsampling in (0, 2):
            for mode in (False, True):
                yield (
                    f"large-{side}-{subsampling}-{mode}",
                    partial(_large, side, subsampling=subsampling, progressive=mode),
                )
    for colours in ("RGB", "L", "CMYK"):
        yield f"dense-{colours}", partial(_dense, colours)
        yield f"dense-{colours}-restarts", partial(_dense, colours, restart_marker_blocks=1)
    yield "arithmetic-sequential", lambda: _as_arithmetic(_large(7_000))
    yield "arithmetic-dense", lambda: _as_arithmetic(_dense("RGB"))
    yield "arithmetic-progressive", lambda: _as_arithmetic(_large(7_000, progressive=True))
    yield "first-scan-alone", lambda: progressive("dc-first", 7_000, 1)
    yield "tables-between-scans", _tables_between_scans
    yield "zeros-after-header", lambda: _large(7_000)[:700] + bytes(FULL - 700)
    yield "escapes-in-scan", lambda: progressive("ac-first", 7_000, 2)[:-2] + filled(b"\xff\0", FULL - 20_000)
    yield "restarts-in-scan", lambda: progressive("ac-first", 7_000, 2)[:-2] + filled(b"\xff\xd1", FULL - 20_000)
    yield "fill-in-scan", lambda: progressive("ac-first", 7_000, 2)[:-2] + filled(b"\xff", FULL - 20_000)


def _tables_between_scans() -> bytes:
    start = progressive("ac-first", 512, 2)[:-2]
    return start + filled(_table(0x10, 0xE0), FULL - len(start) - 99) + _scan("ac-first", 512, 512) + b"\xff\xd9"


def jpegs() -> Iterator[Recipe]:
    for kind in _SCANS:
        for side in _SIDES:
            for count in _COUNTS:
                quick = kind == "ac-refine" and (side, count) in {(7000, 30), (7000, 1000), (512, 0)}
                yield Recipe(f"jpeg/{kind}-{side}-{count}", partial(progressive, kind, side, count), quick)
    for side in (64, 2048, 7000):
        for count in (1, 10, 100, 0):
            name = f"jpeg/arithmetic-{side}-{count}"
            yield Recipe(name, partial(progressive, "ac-first", side, count, 0xCA), (side, count) == (7000, 10))
    for name, unit in _units().items():
        for size in (1 << 20, FULL):
            yield Recipe(f"jpeg/{name}-{size}", partial(_flooded, unit, size), size == FULL and name in _WORST)
    for name, build in _built():
        yield Recipe(f"jpeg/{name}", build)
