"""Hostile images of every format that is read, and mutations of small good ones. Everything is the same in each run."""

import random
from collections.abc import Iterator

from PIL import Image

from tests.attack.image_corpus_gif_bmp import bmps, gifs
from tests.attack.image_corpus_jpeg import jpegs
from tests.attack.image_corpus_parts import FULL, Recipe, encoded, noise
from tests.attack.image_corpus_png import pngs
from tests.attack.image_corpus_tiff import tiffs
from tests.attack.image_corpus_webp import webps

_INTERESTING = (0, 1, 0x7F, 0x80, 0xD8, 0xDA, 0xFF)
_JUNK = 64


def recipes() -> Iterator[Recipe]:
    """Yield every hostile image's recipe."""
    for family in (jpegs, pngs, gifs, bmps, tiffs, webps):
        yield from family()


def built(recipe: Recipe) -> bytes:
    """Return a hostile image, cut to just below the usual limit of bytes."""
    return recipe.build()[: FULL + 63]


def seeds() -> list[bytes]:
    """Return small good images of many kinds, as the start of mutations."""
    picture, grey = noise(48, 32), noise(48, 32, 1)
    alpha, next_one = noise(48, 32, 4), noise(48, 32, seed=1)
    exif = Image.Exif()
    exif[274] = 6
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
    return [
        *(encoded(picture, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(encoded(grey, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")),
        *(encoded(alpha, kind) for kind in ("PNG", "WEBP", "TIFF")),
        *(encoded(picture, kind, save_all=True, append_images=[next_one]) for kind in ("GIF", "PNG", "WEBP", "MPO")),
        *(encoded(picture, "TIFF", compression=each) for each in compressions),
        encoded(picture, "JPEG", progressive=True),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture.quantize(16), "PNG"),
        encoded(grey.convert("1"), "TIFF", compression="group4"),
        encoded(grey.convert("I;16"), "PNG"),
        encoded(grey.convert("F"), "TIFF"),
        encoded(picture, "WEBP", lossless=True),
    ]


def mutations(count: int, seed: int = 7) -> Iterator[bytes]:
    """Yield `count` damaged images: bits flipped, bytes set, pieces cut, repeated, moved or copied from another."""
    rng = random.Random(seed)
    originals = seeds()
    for i in range(count):
        data = bytearray(originals[i % len(originals)])
        for _ in range(rng.randint(1, 6)):
            _mutate(data, rng, originals)
        yield bytes(data)


def _mutate(data: bytearray, rng: random.Random, originals: list[bytes]) -> None:
    if not data:
        return
    # Headers decide most: half of the damage is done there.
    place = rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))
    end = min(len(data), place + rng.randint(1, _JUNK))
    match rng.randrange(7):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            data[place] = rng.choice(_INTERESTING)
        case 2:
            data[place : place + 4] = rng.randbytes(4)
        case 3:
            del data[rng.randrange(len(data)) :]
        case 4:
            data[place:place] = data[place:end] * rng.randint(1, 5)
        case 5:
            del data[place:end]
        case _:
            other = rng.choice(originals)
            start = rng.randrange(len(other))
            data[place:end] = other[start : start + rng.randint(1, _JUNK)]
