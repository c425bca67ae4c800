"""Hostile WebPs: canvases of few bytes, dense pictures, animations and floods of chunks."""

import struct
from collections.abc import Iterator
from functools import partial

from PIL import Image

from tests.attack.image_corpus_parts import FULL, Recipe, encoded, filled, noise
from tests.attack.image_corpus_png import entries

_SIDES = (1_000, 2_000, 3_000, 3_700, 4_500, 7_071, 16_383)
# A lossless stream of one colour, from a report, 7071 pixels square.
_ONE_COLOUR = bytes.fromhex("2f9e9be7160750e42ad4a3808188e87f00")


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def one_colour(width: int, height: int) -> bytes:
    (bits,) = struct.unpack_from("<I", _ONE_COLOUR, 1)
    size = (width - 1) | (height - 1) << 14 | bits & 0xF0000000
    return chunk(b"VP8L", _ONE_COLOUR[:1] + struct.pack("<I", size) + _ONE_COLOUR[5:])


def canvas(width: int, height: int, flags: int) -> bytes:
    return chunk(
        b"VP8X", bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def frame(width: int, height: int, picture: bytes) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return chunk(b"ANMF", bytes(6) + size + bytes(4) + picture)


def animation(side: int, frames: int, small: int) -> bytes:
    """Return an animation on a large canvas whose frames are `small` pixels square."""
    pictures = frame(small, small, one_colour(small, small)) * frames
    return riff(canvas(side, side, 2), chunk(b"ANIM", bytes(6)), pictures)


def _flat(side: int, **options: object) -> bytes:
    return encoded(Image.new("RGBA", (side, side), (90, 80, 70, 60)), "WEBP", method=0, **options)


def _still(side: int) -> bytes:
    return riff(one_colour(side, side))


def _on_canvas(side: int) -> bytes:
    return riff(canvas(side, side, 0), one_colour(side, side))


def _flooded(unit: bytes, size: int) -> bytes:
    return riff(canvas(64, 64, 0x1C), filled(unit, size - 200), one_colour(64, 64))


def webps() -> Iterator[Recipe]:
    for side in _SIDES:
        quick = side in {3_700, 7_071}
        yield Recipe(f"webp/one-colour-{side}", partial(_still, side), quick)
        yield Recipe(f"webp/canvas-{side}", partial(_on_canvas, side), quick)
        for frames in (1, 50, 20_000):
            yield Recipe(f"webp/animation-{side}-{frames}", partial(animation, side, frames, 16))
        yield Recipe(f"webp/animation-{side}-full", partial(animation, side, 2, side))
    for side in (2_000, 3_500):
        yield Recipe(f"webp/flat-{side}", partial(_flat, side))
        yield Recipe(f"webp/flat-lossless-{side}", partial(_flat, side, lossless=True))
    yield Recipe("webp/canvas-huge", lambda: riff(canvas(1 << 24, 1 << 24, 2), one_colour(64, 64)), quick=True)
    yield Recipe("webp/noise", lambda: encoded(noise(3_400, 3_400), "WEBP", quality=90, method=0)[:FULL])
    yield Recipe("webp/noise-lossless", lambda: encoded(noise(1_800, 1_800), "WEBP", lossless=True, method=0))
    yield Recipe("webp/noise-alpha", lambda: encoded(noise(2_300, 2_300, 4), "WEBP", quality=80, method=0))
    units = {
        "empty": chunk(b"abcd", b""),
        "exif": chunk(b"EXIF", entries(60_000)),
        "exif-empty": chunk(b"EXIF", b""),
        "profile": chunk(b"ICCP", bytes(60_000)),
        "xmp": chunk(b"XMP ", b"tiff:Orientatio" * 4_000),
        "frames": frame(64, 64, one_colour(64, 64)),
        "pictures": one_colour(64, 64),
    }
    for name, unit in units.items():
        for size in (1 << 20, FULL):
            yield Recipe(f"webp/flood-{name}-{size}", partial(_flooded, unit, size))
