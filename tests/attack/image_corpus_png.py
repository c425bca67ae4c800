"""Hostile PNGs: large pictures of few bytes in every colour type, and floods of chunks."""

import struct
import zlib
from collections.abc import Iterator
from functools import cache, partial

from tests.attack.image_corpus_parts import FULL, Recipe, encoded, filled, noise

_KINDS = ((0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, colours: int = 2, depth: int = 8, interlace: int = 0) -> bytes:
    return _SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlace))


def bomb(size: tuple[int, int], colours: int, depth: int, rule: int, interlace: int, extra: bytes = b"") -> bytes:
    """Return a picture whose rows are all alike, filtered by `rule`."""
    width, height = size
    row = bytes((rule,)) + b"\1" * -(-width * depth * _CHANNELS[colours] // 8)
    packer = zlib.compressobj(1)
    packed = [packer.compress(row * 64) for _ in range(-(-height // 64))]
    if interlace:
        packed.append(packer.compress(bytes(9 * height)))
    packed.append(packer.flush())
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colours == 3 else b""
    start = header(width, height, colours, depth, interlace)
    return start + palette + extra + chunk(b"IDAT", b"".join(packed)) + chunk(b"IEND", b"")


def _flooded(unit: bytes, size: int, place: str) -> bytes:
    """Return a small picture with a flood before, among or after its pixels."""
    pixels = zlib.compress(bytes(64 * 193))
    flood = filled(unit, size)
    first, second = chunk(b"IDAT", pixels[:9]), chunk(b"IDAT", pixels[9:])
    parts = {"before": (flood, first, second), "among": (first, flood, second), "after": (first, second, flood)}
    return header(64, 64) + b"".join(parts[place]) + chunk(b"IEND", b"")


def entries(count: int) -> bytes:
    tags = b"".join(struct.pack("<HHII", i & 0xFFFF, 4, 1, 8) for i in range(count))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + tags + bytes(4)


@cache
def _units() -> dict[str, bytes]:
    megabyte = zlib.compress(bytes((1 << 20) - 9), 9)
    profile = zlib.compress(b"\nexif\n" + str(len(entries(20_000))).encode() + b"\n" + entries(20_000).hex().encode())
    wide = zlib.compress("\U0001f600".encode() + bytes((1 << 20) - 99), 9)
    return {
        "pixels-empty": chunk(b"IDAT", b""),
        "pixels-tiny": chunk(b"IDAT", b"\0"),
        "private": chunk(b"prVt", b""),
        "private-large": chunk(b"prVt", bytes(60_000)),
        "unknown": chunk(b"abCd", b"1"),
        "text": chunk(b"tEXt", b"a\0b"),
        "text-large": chunk(b"tEXt", b"a\0" + b"b" * 1_000_000),
        "text-packed": chunk(b"zTXt", b"a\0\0" + megabyte),
        "text-wide": chunk(b"iTXt", b"a\0\1\0\0\0" + wide),
        "text-profile": chunk(b"zTXt", b"Raw profile type exif\0\0" + profile),
        "profile": chunk(b"iCCP", b"a\0\0" + megabyte),
        "exif": chunk(b"eXIf", entries(65_000)),
        "frames": chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 1, 0, 0)),
        "animation": chunk(b"acTL", struct.pack(">II", 2, 0)),
        "frame-pixels": chunk(b"fdAT", bytes(4)),
        "time": chunk(b"tIME", bytes(7)),
        "transparency": chunk(b"tRNS", bytes(6)),
        "palette": chunk(b"PLTE", bytes(768)),
        "headers": header(64, 64)[8:],
    }


def _few(unit: bytes, count: int) -> bytes:
    return _flooded(unit, count * len(unit), "before")


def pngs() -> Iterator[Recipe]:
    for size in ((7_000, 7_000), (20_000, 2_490), (2_490, 20_000)):
        for colours, depth in _KINDS:
            for rule, interlace in ((1, 0), (4, 0), (4, 1)):
                name = f"png/{size[0]}x{size[1]}-{colours}-{depth}-{rule}-{interlace}"
                quick = (size[0], rule, interlace) == (7_000, 4, 0) and (colours, depth) in {(2, 16), (6, 8)}
                yield Recipe(name, partial(bomb, size, colours, depth, rule, interlace), quick)
    for name, unit in _units().items():
        for place in ("before", "among", "after"):
            quick = place == "before" and name in {"private", "profile", "exif"}
            yield Recipe(f"png/{name}-{place}", partial(_flooded, unit, FULL - 20_000, place), quick)
        yield Recipe(f"png/{name}-15", partial(_few, unit, 15))
    yield Recipe("png/noise", lambda: encoded(noise(1_850, 1_850), "PNG"))
    yield Recipe("png/noise-alpha", lambda: encoded(noise(1_600, 1_600, 4), "PNG"))
