"""Hostile TIFFs: strips that share bytes, tiles larger than the picture, floods of tags and of their values."""

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image

from tests.attack.image_corpus_jpeg import progressive
from tests.attack.image_corpus_parts import FULL, Recipe, encoded, noise

Tags = dict[int, tuple[int, list[int] | bytes]]
_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_UNIT = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}
_RAW, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKED, _LZMA, _ZSTD = 1, 5, 6, 7, 8, 32773, 34925, 50000


def tiff(tags: Tags, data: bytes, order: str = "<") -> bytes:
    """Return `data`, which starts at byte 8, and a directory of `tags`: type and values, or their bytes."""
    body = b"II*\0" if order == "<" else b"MM\0*"
    values, start = b"", 8 + len(data)
    entries = []
    for tag, (kind, content) in sorted(tags.items()):
        letters = {_SHORT: "H", _LONG: "I"}.get(kind, "B")
        raw = content if isinstance(content, bytes) else struct.pack(f"{order}{len(content)}{letters}", *content)
        place = raw.ljust(4, b"\0")
        if len(raw) > 4:
            place = struct.pack(order + "I", start + len(values))
            values += raw + bytes(len(raw) & 1)
        entries.append(struct.pack(order + "HHI", tag, kind, len(raw) // _UNIT[kind]) + place)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return body + struct.pack(order + "I", start + len(values)) + data + values + directory


def page(width: int, height: int, compression: int, samples: int = 3, bits: int = 8) -> Tags:
    photometric = 6 if compression in {_JPEG, _OLD_JPEG} and samples == 3 else (2 if samples >= 3 else 1)
    return {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [bits] * samples),
        259: (_SHORT, [compression]),
        262: (_SHORT, [photometric]),
        277: (_SHORT, [samples]),
        **({338: (_SHORT, [2])} if samples == 4 else {}),
    }


def strips(
    size: tuple[int, int], compression: int, strip: bytes, rows: int, *, shared: bool, samples: int = 3
) -> bytes:
    """Return a picture of strips with the same bytes: all at one offset, or each with a separate copy."""
    width, height = size
    count = -(-height // rows)
    offsets = [8] * count if shared else [8 + i * len(strip) for i in range(count)]
    tags = page(width, height, compression, samples)
    tags |= {273: (_LONG, offsets), 278: (_LONG, [rows]), 279: (_LONG, [len(strip)] * count)}
    return tiff(tags, strip if shared else strip * count)


def _packed(compression: int, length: int) -> bytes:
    if compression == _DEFLATE:
        return zlib.compress(bytes(length), 9)
    if compression == _PACKED:
        return b"\x81\0" * (length // 128 + 1)
    return bytes(length)


def _strip_pictures() -> Iterator[Recipe]:
    for size, rows in (
        ((7_000, 7_000), 1),
        ((7_000, 7_000), 64),
        ((7_000, 7_000), 7_000),
        ((1, 20_000), 1),
        ((64, 20_000), 1),
    ):
        for compression in (_DEFLATE, _PACKED, _RAW):
            if compression == _RAW and rows * size[0] > 100_000:
                continue
            strip = partial(_packed, compression, 3 * size[0] * rows)
            for shared in (True, False):
                name = f"tiff/strips-{size[0]}x{size[1]}-{rows}-{compression}-{shared}"
                yield Recipe(name, partial(_strips_of, size, compression, strip, rows, shared=shared))
    for count in (1_000, 5_000, 19_999):
        blocks = partial(_empty_blocks, 1_000_000)
        build = partial(_strips_of, (64, count), _DEFLATE, blocks, 1, shared=True)
        yield Recipe(f"tiff/empty-blocks-{count}", build, quick=count == 19_999)
        yield Recipe(f"tiff/empty-blocks-no-lengths-{count}", partial(_without_lengths, (64, count), 1_000_000))
    for length in (100_000, 1_000_000, 9_000_000):
        build = partial(_strips_of, (64, 64), _DEFLATE, partial(_empty_blocks, length), 64, shared=False)
        yield Recipe(f"tiff/empty-blocks-1-of-{length}", build)


def _strips_of(size: tuple[int, int], compression: int, strip: partial[bytes], rows: int, *, shared: bool) -> bytes:
    data = strips(size, compression, strip(), rows, shared=shared)
    return data if len(data) <= FULL else strips(size, compression, strip(), rows, shared=True)


def _empty_blocks(size: int) -> bytes:
    """Return deflate blocks without content."""
    return b"x\x9c" + b"\0\0\0\xff\xff" * (size // 5)


def _without_lengths(size: tuple[int, int], length: int) -> bytes:
    tags = page(*size, _DEFLATE)
    tags |= {273: (_LONG, [8] * size[1]), 278: (_LONG, [1])}
    return tiff(tags, _empty_blocks(length))


def tiles(size: tuple[int, int], tile: tuple[int, int], compression: int, samples: int = 3) -> bytes:
    count = -(-size[0] // tile[0]) * -(-size[1] // tile[1])
    packed = _packed(compression, min(100_000_000, samples * tile[0] * tile[1]))
    tags = page(*size, compression, samples)
    tags |= {322: (_LONG, [tile[0]]), 323: (_LONG, [tile[1]])}
    tags |= {324: (_LONG, [8] * count), 325: (_LONG, [len(packed) // count] * count)}
    return tiff(tags, packed)


def _tile_pictures() -> Iterator[Recipe]:
    for tile in ((16, 16), (16, 20_000), (20_000, 16), (4_000, 4_000), (30_000, 30_000), (65_520, 65_520)):
        for size in ((64, 64), (7_000, 7_000), (20_000, 1)):
            for compression in (_DEFLATE, _PACKED):
                name = f"tiff/tiles-{tile[0]}x{tile[1]}-{size[0]}-{compression}"
                yield Recipe(name, partial(tiles, size, tile, compression), (tile[0], size[0]) == (30_000, 64))


def _flooded(tag: int, kind: int, count: int) -> bytes:
    tags = page(64, 64, _RAW)
    tags |= {273: (_LONG, [8]), 278: (_LONG, [64]), 279: (_LONG, [64 * 64 * 3])}
    tags[tag] = (kind, bytes(count * _UNIT[kind]))
    return tiff(tags, bytes(64 * 64 * 3))


def _many_tags(count: int, place: int) -> bytes:
    """Return a picture with `count` tags in its own directory (0) or in that of its Exif block."""
    tags = page(64, 64, _RAW)
    tags |= {273: (_LONG, [8]), 278: (_LONG, [64]), 279: (_LONG, [64 * 64 * 3])}
    more = b"".join(struct.pack("<HHII", 1_000 + i % 60_000, _LONG, 1, 7) for i in range(count))
    pixels = bytes(64 * 64 * 3)
    if place:
        tags[34665] = (_LONG, [8 + len(pixels)])
        return tiff(tags, pixels + struct.pack("<H", count & 0xFFFF) + more + bytes(4))
    data = tiff(tags, pixels)
    (start,) = struct.unpack_from("<I", data, 4)
    own = data[start + 2 : -4]
    return data[:start] + struct.pack("<H", (len(own) // 12 + count) & 0xFFFF) + own + more + bytes(4)


def _tag_floods() -> Iterator[Recipe]:
    for tag, kind in (
        (258, 3),
        (282, 5),
        (283, 5),
        (301, 3),
        (320, 3),
        (338, 3),
        (339, 3),
        (270, 2),
        (700, 7),
        (33432, 12),
    ):
        for count in (1_000, 100_000, (FULL - 20_000) // _UNIT[kind]):
            yield Recipe(f"tiff/values-{tag}-{count}", partial(_flooded, tag, kind, count), tag == 282)
    for tag, kind in ((273, 4), (279, 4), (324, 4)):
        yield Recipe(f"tiff/offsets-{tag}", partial(_flooded, tag, kind, (FULL - 20_000) // 4))
    for place in (0, 1):
        for count in (900, 10_000, 60_000):
            yield Recipe(f"tiff/tags-{place}-{count}", partial(_many_tags, count, place), count == 60_000)


def _jpeg_pictures() -> Iterator[Recipe]:
    for compression in (_OLD_JPEG, _JPEG):
        for side, count in ((512, 10), (512, 2_000), (7_000, 12), (7_000, 100), (7_000, 1_000)):
            build = partial(_one_jpeg, side, count, compression)
            yield Recipe(f"tiff/jpeg-{compression}-{side}-{count}", build, (side, count) == (7_000, 100))


def _one_jpeg(side: int, count: int, compression: int) -> bytes:
    strip = progressive("ac-refine", side, count)
    tags = page(side, side, compression, 1)
    tags |= {273: (_LONG, [8]), 278: (_LONG, [side]), 279: (_LONG, [len(strip)])}
    return tiff(tags, strip)


def _encoded(mode: str, side: int, compression: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(Image.new(mode, (side, side)), "TIFF", compression=compression, exif=exif)


def _deep_pictures() -> Iterator[Recipe]:
    for mode in ("RGB", "RGBA", "LA", "L", "1", "I;16", "F", "I", "CMYK", "YCbCr"):
        for side in (3_500, 7_000):
            for orientation in (1, 6):
                build = partial(_encoded, mode, side, "tiff_adobe_deflate", orientation)
                yield Recipe(f"tiff/deep-{mode}-{side}-{orientation}", build, mode == "F" and side == 7_000)
    for compression in ("tiff_lzw", "zstd", "lzma", "packbits", "jpeg"):
        yield Recipe(f"tiff/flat-{compression}", partial(_encoded, "RGB", 6_900, compression, 1))
    yield Recipe("tiff/noise", lambda: encoded(noise(1_850, 1_850), "TIFF"))
    yield Recipe("tiff/noise-lzma", lambda: encoded(noise(1_800, 1_800), "TIFF", compression="lzma"))
    yield Recipe("tiff/noise-lzw", lambda: encoded(noise(1_550, 1_550), "TIFF", compression="tiff_lzw"))


def tiffs() -> Iterator[Recipe]:
    yield from _strip_pictures()
    yield from _tile_pictures()
    yield from _tag_floods()
    yield from _jpeg_pictures()
    yield from _deep_pictures()
