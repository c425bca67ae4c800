"""Hostile GIFs and BMPs: floods of blocks, and run lengths that are slow to undo."""

import struct
from collections.abc import Iterator
from functools import partial

from PIL import Image

from tests.attack.image_corpus_parts import FULL, Recipe, encoded, filled, noise

_SCREEN = struct.pack("<6sHHBBB", b"GIF89a", 64, 64, 0, 0, 0)
_PICTURE = struct.pack("<BHHHHBB", 0x2C, 0, 0, 64, 64, 0, 8)


def _gif(before: bytes = b"", blocks: bytes = b"\0", after: bytes = b"", screen: bytes = _SCREEN) -> bytes:
    return screen + before + _PICTURE + blocks + after + b";"


def _gif_floods() -> dict[str, tuple[str, bytes]]:
    return {
        "blocks-of-1": ("blocks", b"\1\0"),
        "blocks-of-1-clear": ("blocks", b"\1\x80"),
        "blocks-of-255": ("blocks", b"\xff" + bytes(255)),
        "blocks-of-50": ("blocks", b"\x32" + bytes(50)),
        "extensions": ("before", b"!\xfe\0"),
        "controls": ("before", b"!\xf9\4\0\0\0\0\0"),
        "applications": ("before", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0"),
        "comments-of-1": ("before", b"!\xfe" + b"\1a" * 50_000 + b"\0"),
        "stray": ("before", b"A"),
        "extensions-after": ("after", b"!\xfe\0"),
        "stray-after": ("after", b"A"),
        "pictures-after": ("after", _PICTURE + b"\0"),
        "empty-pictures": ("before", _PICTURE + b"\0"),
    }


def _flooded_gif(place: str, unit: bytes, size: int) -> bytes:
    flood = filled(unit, size - 60)
    return _gif(**{place: flood + b"\0" if place == "blocks" else flood})


def _large_gif(size: tuple[int, int], *, interlace: bool, transparency: int | None) -> bytes:
    options: dict[str, object] = {} if transparency is None else {"transparency": transparency}
    return encoded(Image.new("P", size, 3), "GIF", interlace=interlace, **options)


def _outgrown_gif() -> bytes:
    picture = struct.pack("<BHHHHBB", 0x2C, 12_000, 12_000, 65_535, 65_535, 0, 8)
    return _SCREEN + picture + b"\2\0\0\0;"


def gifs() -> Iterator[Recipe]:
    for name, (place, unit) in _gif_floods().items():
        for length in (1 << 20, FULL):
            yield Recipe(
                f"gif/{name}-{length}", partial(_flooded_gif, place, unit, length), (length, unit) == (FULL, b"\1\0")
            )
    for size in ((7_000, 7_000), (20_000, 2_490), (2_490, 20_000)):
        for interlace in (False, True):
            for transparency in (None, 3):
                build = partial(_large_gif, size, interlace=interlace, transparency=transparency)
                yield Recipe(f"gif/large-{size[0]}-{interlace}-{transparency}", build)
    yield Recipe("gif/outgrown", _outgrown_gif, quick=True)
    yield Recipe("gif/noise", lambda: encoded(noise(2_700, 2_700, 1), "GIF"))


def _bmp(size: tuple[int, int], bits: int, compression: int, pixels: bytes, colours: int = 0) -> bytes:
    palette = bytes(range(256)) * 4 if bits <= 8 and not colours else bytes(4 * min(colours, 65_536))
    start = 14 + 40 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    return head + struct.pack("<IIIHHIIiiII", 40, *size, 1, bits, compression, 0, 0, 0, colours, 0) + palette + pixels


def _run_lengths() -> dict[str, bytes]:
    return {
        "ones": b"\1\7",
        "twos": b"\2\7",
        "runs": b"\xff\7",
        "zeros-run": b"\0\0",
        "delta-nothing": b"\0\2\0\0",
        "delta-right": b"\0\2\1\0",
        "delta-far": b"\0\2\xff\xff",
        "absolute": b"\0\3abc\0",
        "absolute-long": b"\0\xff" + bytes(256),
        "line-of-one": b"\1\7\0\0",
    }


def bmps() -> Iterator[Recipe]:
    for name, unit in _run_lengths().items():
        for bits, compression in ((8, 1), (4, 2)):
            for size in ((2_000, 1_500), (7_000, 7_000)):
                for length in (1 << 20, FULL):
                    build = partial(_run_length_bmp, size, bits, compression, unit, length)
                    quick = (bits, size[0], length) == (4, 2_000, 1 << 20)
                    yield Recipe(f"bmp/{name}-{bits}-{size[0]}-{length}", build, quick)
    for bits in (1, 4, 8, 16, 24, 32):
        for size in ((7_000, 7_000), (20_000, 2_490), (1_500, 1_500)):
            build = partial(_raw_bmp, size, bits, 0)
            yield Recipe(f"bmp/raw-{bits}-{size[0]}", build)
    for colours in (3, 65_536, 1 << 30):
        yield Recipe(f"bmp/colours-{colours}", partial(_raw_bmp, (1_500, 1_500), 8, colours))


def _run_length_bmp(size: tuple[int, int], bits: int, compression: int, unit: bytes, length: int) -> bytes:
    return _bmp(size, bits, compression, filled(unit, length - 1_100))


def _raw_bmp(size: tuple[int, int], bits: int, colours: int) -> bytes:
    length = min(FULL - 263_000, size[1] * (size[0] * bits // 8 + 4))
    return _bmp(size, bits, 0, bytes(length), colours)
