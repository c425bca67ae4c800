"""Structure checks before decoding: real files pass, files built to cost seconds or gigabytes are refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits
from pipeline.ingest.structure import structure_of
from tests.attack import image_corpus_png as png
from tests.attack.image_corpus import built, recipes, seeds
from tests.attack.image_corpus_jpeg import frame, progressive, segment
from tests.attack.image_corpus_parts import encoded, noise
from tests.attack.image_corpus_tiff import page, strips, tiff
from tests.attack.image_corpus_webp import one_colour, riff

LIMITS = ImageLimits()


def refused(data: bytes) -> RecordFault:
    with pytest.raises(RecordFault) as caught:
        structure_of(data, LIMITS)
    return caught.value


def photograph(width: int, height: int) -> Image.Image:
    return noise(width // 8, height // 8).resize((width, height), Image.Resampling.BICUBIC)


def test_each_seed_passes_with_its_format_and_size() -> None:
    for data in seeds():
        structure = structure_of(data, LIMITS)
        assert (structure.width, structure.height) == (48, 32)


@pytest.mark.parametrize(
    "name",
    [
        "jpeg/ac-refine-7000-1000",
        "jpeg/ac-refine-512-0",
        "jpeg/arithmetic-7000-10",
        "jpeg/fill-10485696",
        "jpeg/stray-escaped-10485696",
        "jpeg/app-empty-10485696",
        "jpeg/exif-empty-1048576",
        "jpeg/tables-10485696",
        "jpeg/photoshop-10485696",
        "jpeg/fill-in-scan",
        "png/pixels-empty-among",
        "png/private-before",
        "png/text-after",
        "png/profile-before",
        "png/exif-before",
        "gif/blocks-of-1-10485696",
        "gif/extensions-10485696",
        "gif/stray-after-10485696",
        "bmp/ones-8-2000-10485696",
        "bmp/zeros-run-4-7000-1048576",
        "tiff/empty-blocks-19999",
        "tiff/tiles-30000x30000-64-8",
        "tiff/tags-0-60000",
        "tiff/tags-1-60000",
        "tiff/values-282-100000",
        "tiff/jpeg-7-7000-100",
        "tiff/offsets-273",
        "webp/one-colour-7071",
        "webp/animation-4500-1",
    ],
)
def test_a_file_built_to_be_expensive_is_refused(name: str) -> None:
    """The fault names the excessive quantity, its value and the limit."""
    [recipe] = [each for each in recipes() if each.name == name]
    fault = refused(built(recipe))
    assert fault.reason is DeadLetterReason.TOO_COSTLY
    assert ", the limit is " in fault.detail


def test_a_large_progressive_photograph_passes() -> None:
    """Ten scans over 50 Mpx at 4:2:0, as libjpeg writes them."""
    content = encoded(Image.new("RGB", (8_000, 6_200), "red"), "JPEG", progressive=True, subsampling=2)
    structure = structure_of(content, LIMITS)
    assert (structure.format, structure.width, structure.height) == ("jpeg", 8_000, 6_200)
    assert structure.reader_bytes == pytest.approx(8_000 * 6_200 * 1.5 * 2, rel=0.01)


def test_twenty_scans_over_a_large_photograph_pass() -> None:
    assert structure_of(progressive("ac-refine", 6_000, 18), LIMITS).width == 6_000


def test_a_jpeg_with_160_large_segments_passes() -> None:
    """Depth maps and extended XMP are stored in such segments."""
    seed = encoded(photograph(640, 480), "JPEG")
    extended = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"\xff\xda" * 32_000)
    data = seed[:2] + extended * 160 + seed[2:]
    assert structure_of(data, LIMITS).format == "jpeg"


def test_a_preview_in_the_exif_block_is_no_second_picture() -> None:
    exif = Image.Exif()
    exif[271] = "camera"
    preview = encoded(photograph(160, 120), "JPEG", progressive=True)
    seed = encoded(photograph(640, 480), "JPEG", exif=exif.tobytes() + preview)
    assert structure_of(seed, LIMITS).width == 640


def test_bytes_after_a_jpeg_are_not_parsed() -> None:
    """A phone appends a second picture, or a video."""
    seed = encoded(photograph(64, 48), "JPEG", progressive=True)
    assert structure_of(seed + seed * 100, LIMITS).width == 64


def test_fill_bytes_after_a_jpeg_are_padding() -> None:
    seed = encoded(photograph(64, 48), "JPEG")
    assert structure_of(seed + b"\xff" * 5_000, LIMITS).width == 64


def test_fill_bytes_before_a_marker_are_legal() -> None:
    seed = encoded(photograph(64, 48), "JPEG")
    assert structure_of(seed[:2] + b"\xff" * 9 + seed[2:], LIMITS).width == 64


def test_a_png_with_thousands_of_pixel_chunks_passes() -> None:
    rows = zlib.compress(np.random.default_rng(1).integers(0, 255, 5_000_000, dtype=np.uint8).tobytes(), 0)
    chunks = [png.chunk(b"IDAT", rows[i : i + 512]) for i in range(0, len(rows), 512)]
    data = png.header(1_500, 1_100) + b"".join(chunks) + png.chunk(b"IEND", b"")
    assert len(chunks) > 9_000
    assert structure_of(data, LIMITS).format == "png"


def test_rows_of_a_png_are_bounded_in_bytes() -> None:
    """Undoing row filters takes longest: 50 Mpx pass in 8 bits with alpha, but not in 16."""
    assert structure_of(png.header(7_000, 7_000, 6, 8), LIMITS).width == 7_000
    assert refused(png.header(7_000, 7_000, 6, 16)).reason is DeadLetterReason.TOO_COSTLY


def test_a_twelve_megapixel_tiff_passes() -> None:
    row = zlib.compress(bytes(4_000 * 3))
    assert structure_of(strips((4_000, 3_000), 8, row, 1, shared=False), LIMITS).height == 3_000


def test_a_ten_megapixel_webp_passes() -> None:
    assert structure_of(riff(one_colour(3_900, 2_700)), LIMITS).width == 3_900


def test_a_webp_of_38_bytes_is_refused_by_the_memory_it_would_take() -> None:
    fault = refused(riff(one_colour(7_071, 7_071)))
    assert fault.reason is DeadLetterReason.TOO_COSTLY
    assert "bytes of memory" in fault.detail


def test_the_canvas_is_measured_not_the_frame() -> None:
    assert refused(built(next(each for each in recipes() if each.name == "webp/canvas-huge"))).reason is (
        DeadLetterReason.TOO_MANY_PIXELS
    )


def test_a_gif_frame_larger_than_its_screen_counts() -> None:
    fault = refused(built(next(each for each in recipes() if each.name == "gif/outgrown")))
    assert fault.reason is DeadLetterReason.TOO_MANY_PIXELS


def test_strips_may_not_share_bytes() -> None:
    assert "overlap" in refused(strips((64, 500), 8, zlib.compress(bytes(192)) + bytes(999), 1, shared=True)).detail


def test_big_tiff_is_measured() -> None:
    plain = tiff(page(64, 48, 1) | {273: (4, [8]), 278: (4, [48])}, bytes(64 * 48 * 3))
    (start,) = struct.unpack_from("<I", plain, 4)
    entries = [plain[i : i + 12] for i in range(start + 2, len(plain) - 4, 12)]
    large = b"".join(each[:4] + struct.pack("<Q", each[4]) + each[8:].ljust(8, b"\0") for each in entries)
    data = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries)) + large + bytes(8)
    assert structure_of(data, LIMITS).height == 48


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + frame(0xC0, 8, 8) + frame(0xC0, 9_999, 9_999) + b"\xff\xda",
        b"\x89PNG\r\n\x1a\n",
        png.header(8, 8) + png.header(9, 9)[8:],
        b"GIF89a",
        b"BM",
        b"II*\0\x08\0\0\0",
        b"RIFF\0\0\0\0WEBPVP8L",
    ],
)
def test_a_header_that_ends_early_or_contradicts_itself_is_corrupt(data: bytes) -> None:
    assert refused(data).reason is DeadLetterReason.CORRUPT_IMAGE
