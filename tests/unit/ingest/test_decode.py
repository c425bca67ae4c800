"""Image bytes to pixels: every format of a stream, and every kind of broken image."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits, Picture, PixelSpec
from pipeline.ingest.decode import decode, decode_here, rgb, thumbnail
from pipeline.stack.broken_images import bomb, broken_images

SPEC = PixelSpec(96, "squash")
LIMITS = ImageLimits()


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def halves(width: int = 64, height: int = 48) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def left_and_right(picture: Picture) -> tuple[list[int], list[int]]:
    return picture.pixels[48, 20].tolist(), picture.pixels[48, 75].tolist()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_their_colours(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(encoded(halves(), kind, **options), SPEC, LIMITS)
    assert left_and_right(picture) == ([255, 0, 0], [0, 0, 255])
    assert (picture.format, picture.width, picture.height, picture.animated) == (kind.lower(), 64, 48, False)


def test_jpeg_is_close() -> None:
    left, right = left_and_right(decode(encoded(halves(), "JPEG", quality=95), SPEC, LIMITS))
    np.testing.assert_allclose([left, right], [[255, 0, 0], [0, 0, 255]], atol=4)


def test_pixels_have_the_encoders_shape() -> None:
    pixels = decode(encoded(halves(), "PNG"), SPEC, LIMITS).pixels
    assert pixels.shape == (96, 96, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_judged_and_marked(kind: str) -> None:
    green = Image.new("RGB", (64, 48), (0, 255, 0))
    options = {"save_all": True, "append_images": [green, green], "lossless": True}
    picture = decode(encoded(halves(), kind, **options), SPEC, LIMITS)
    assert picture.animated
    assert left_and_right(picture) == ([255, 0, 0], [0, 0, 255])


def test_cmyk_comes_out_in_rgb() -> None:
    left, right = left_and_right(decode(encoded(halves().convert("CMYK"), "JPEG", quality=95), SPEC, LIMITS))
    assert left[0] > 200 > 60 > left[2]
    assert right[2] > 200 > 60 > right[0]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.full((48, 64), 32896, dtype=np.uint16)
    picture = decode(encoded(Image.fromarray(ramp), "PNG"), SPEC, LIMITS)
    assert picture.pixels[48, 48].tolist() == [128, 128, 128]


def test_palettes_are_looked_up() -> None:
    picture = decode(encoded(halves().quantize(4), "PNG"), SPEC, LIMITS)
    assert left_and_right(picture) == ([255, 0, 0], [0, 0, 255])


def test_transparent_pixels_become_white() -> None:
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    assert decode(encoded(clear, "PNG"), SPEC, LIMITS).pixels[48, 48].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """For every orientation of the camera, the upright picture has red left, blue right and a green top edge."""
    upright = halves(64, 64)
    upright.paste((0, 255, 0), (0, 0, 64, 12))
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        content = encoded(stored, kind, exif=exif)
        picture = decode(content, SPEC, LIMITS)
        assert left_and_right(picture) == ([255, 0, 0], [0, 0, 255])
        assert picture.pixels[5, 48].tolist() == [0, 255, 0]
        np.testing.assert_array_equal(rgb(content), np.asarray(upright))


def test_sideways_pictures_report_their_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "TIFF"):
        picture = decode(encoded(halves(64, 48), kind, exif=exif), SPEC, LIMITS)
        assert (picture.width, picture.height) == (48, 64)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 20_000), (20_000, 1), (3, 7)])
def test_odd_shapes_are_judged(width: int, height: int) -> None:
    picture = decode(encoded(Image.new("RGB", (width, height), (9, 9, 9)), "PNG"), SPEC, LIMITS)
    assert np.unique(picture.pixels).tolist() == [9]


def test_crop_keeps_the_middle() -> None:
    image = Image.new("RGB", (300, 100), (255, 0, 0))
    image.paste((0, 0, 255), (100, 0, 200, 100))
    pixels = decode(encoded(image, "PNG"), PixelSpec(96, "crop"), LIMITS).pixels
    assert pixels[48, 10].tolist() == pixels[48, 85].tolist() == [0, 0, 255]


def test_a_large_jpeg_decoded_at_a_fraction_stays_the_same_picture(samples: Path) -> None:
    """Draft decoding differs from full decoding by less than one level in 255 on the mean."""
    [photograph, *_] = sorted((samples / "images/elephant").iterdir())
    large = Image.open(photograph).convert("RGB").resize((1920, 1080), Image.Resampling.BICUBIC)
    drafted = decode(encoded(large, "JPEG", quality=92), SPEC, LIMITS).pixels
    whole = decode(encoded(Image.open(io.BytesIO(encoded(large, "JPEG", quality=92))), "PNG"), SPEC, LIMITS).pixels
    assert np.abs(drafted.astype(float) - whole).mean() < 1.0


def test_each_broken_image_has_its_reason(revolver: bytes) -> None:
    for broken in broken_images(revolver):
        if broken.content_type == "application/json":
            continue
        with pytest.raises(RecordFault) as caught:
            decode(broken.value, SPEC, LIMITS)
        assert caught.value.reason is broken.reason, broken.name


def test_limits_are_checked_before_pixels_are_allocated() -> None:
    """A bomb of a few kilobytes that claims 900 million pixels is refused by its header."""
    with pytest.raises(RecordFault) as caught:
        decode(bomb(30_000, 30_000), SPEC, ImageLimits(max_dimension=40_000))
    assert caught.value.reason is DeadLetterReason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ImageLimits(max_bytes=10), DeadLetterReason.TOO_LARGE),
        (ImageLimits(max_pixels=64 * 48 - 1), DeadLetterReason.TOO_MANY_PIXELS),
        (ImageLimits(max_dimension=63), DeadLetterReason.TOO_MANY_PIXELS),
    ],
)
def test_each_limit_holds(limits: ImageLimits, reason: DeadLetterReason) -> None:
    with pytest.raises(RecordFault) as caught:
        decode(encoded(halves(), "PNG"), SPEC, limits)
    assert caught.value.reason is reason


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    cuts=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=4),
    length=st.integers(0, 2000),
)
def test_damaged_bytes_are_judged_or_refused_never_more(kind: str, cuts: list[tuple[int, bytes]], length: int) -> None:
    """For any bytes, the decoder returns a picture or raises a fault with a reason from the closed list."""
    data = bytearray(encoded(halves(), kind))
    for place, junk in cuts:
        data[place : place + len(junk)] = junk
    try:
        picture = decode(bytes(data[: max(1, length)]), SPEC, LIMITS)
    except RecordFault:
        return
    assert picture.pixels.shape == (96, 96, 3)


@pytest.mark.parametrize("size", [(31, 500), (500, 31), (640, 480), (3001, 997), (65, 64), (5, 9)])
def test_an_exact_crop_is_resize_and_center_crop(size: tuple[int, int]) -> None:
    """Pixels equal those of torchvision's `Resize` and `CenterCrop`, and of processors that imitate them."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    width, height = (64 * length // min(size) for length in size)
    left, top = (width - 64) // 2, (height - 64) // 2
    expected = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 64, top + 64))
    pixels = decode(encoded(image, "PNG"), PixelSpec(64, "crop", exact=True), LIMITS).pixels
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_a_strip_too_long_to_scale_is_cropped_to_its_middle() -> None:
    strip = Image.new("RGB", (20_000, 10), "red")
    strip.paste("blue", (9_990, 0, 10_010, 10))
    pixels = decode(encoded(strip, "PNG"), PixelSpec(224, "crop", exact=True), LIMITS).pixels
    assert pixels.shape == (224, 224, 3)
    assert (pixels[:, :, 2] > 200).all()


def test_a_thumbnail_is_upright() -> None:
    exif = Image.Exif()
    exif[274] = 6
    image = Image.new("RGB", (200, 100), "white")
    assert Image.open(io.BytesIO(thumbnail(encoded(image, "JPEG", exif=exif), 64))).size == (32, 64)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(300, 200), (1_601, 903), (97, 1_200)])
def test_pixels_of_ordinary_images_equal_pillows(kind: str, size: tuple[int, int]) -> None:
    """They are equal bit for bit to Pillow's draft of a JPEG and one resize with a reducing gap."""
    content = encoded(noise(*size), kind)
    expected = Image.open(io.BytesIO(content))
    expected.draft("RGB", (192, 192))
    square = expected.resize((96, 96), Image.Resampling.BICUBIC, reducing_gap=2.0)
    np.testing.assert_array_equal(decode(content, SPEC, LIMITS).pixels, np.asarray(square))


@pytest.mark.parametrize("spec", [SPEC, PixelSpec(96, "squash", exact=True)])
def test_colours_converted_in_bands_equal_the_whole_image(spec: PixelSpec) -> None:
    """
    An image with alpha is blended over white, and one of 16 bits is divided by 257; they differ by at most one level.
    """
    layer, numbers = noise(900, 700, 4), np.asarray(noise(900, 700, 1)).astype(np.uint16) * 257
    blended = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    for image, plain in ((layer, blended), (Image.fromarray(numbers), noise(900, 700, 1))):
        whole = decode(encoded(plain, "PNG"), spec, LIMITS).pixels.astype(int)
        assert np.abs(decode(encoded(image, "PNG"), spec, LIMITS).pixels - whole).max() <= 1


def test_a_multi_picture_file_of_a_phone_is_a_jpeg() -> None:
    content = encoded(noise(1_600, 1_200), "MPO", save_all=True, append_images=[noise(320, 240)])
    picture = decode(content, SPEC, LIMITS)
    assert (picture.format, picture.width, picture.height, picture.animated) == ("jpeg", 1_600, 1_200, False)


def test_a_thumbnail_does_not_depend_on_decoding_a_picture_too() -> None:
    """One decoding serves both; a thumbnail larger than the decoded picture is decoded separately."""
    for kind, side in (("PNG", 64), ("PNG", 300), ("JPEG", 300)):
        content = encoded(noise(40, 30).resize((800, 600)), kind)
        beside = decode_here(content, SPEC, LIMITS, side).thumbnail
        assert beside is not None
        alone = thumbnail(content, side)
        small, other = Image.open(io.BytesIO(beside)), Image.open(io.BytesIO(alone))
        assert small.size == other.size == (side, side * 3 // 4)
        assert np.abs(np.asarray(small).astype(float) - np.asarray(other)).mean() < 6


def test_a_thumbnail_of_16_bits_can_be_made() -> None:
    numbers = Image.fromarray(np.full((700, 900), 32_896, dtype=np.uint16))
    small = Image.open(io.BytesIO(thumbnail(encoded(numbers, "PNG"), 64)))
    assert np.asarray(small)[9, 9].tolist() == [128, 128, 128]


def test_limits_hold_for_whole_pictures_and_thumbnails() -> None:
    content = encoded(halves(), "PNG")
    small = ImageLimits(max_pixels=64 * 48 - 1)
    for call in (lambda: rgb(content, small), lambda: thumbnail(content, 16, small)):
        with pytest.raises(RecordFault) as caught:
            call()
        assert caught.value.reason is DeadLetterReason.TOO_MANY_PIXELS


def test_the_memory_for_decoding_is_checked_first() -> None:
    with pytest.raises(RecordFault) as caught:
        decode(encoded(noise(1_000, 1_000), "PNG"), SPEC, ImageLimits(max_memory_bytes=16_000_000))
    assert caught.value.reason is DeadLetterReason.TOO_COSTLY
    assert caught.value.detail.endswith("bytes of memory to decode it, the limit is 16000000")


def test_running_out_of_memory_is_a_fault_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", none_left)
    with pytest.raises(RecordFault) as caught:
        decode(encoded(halves(), "PNG"), SPEC, LIMITS)
    assert caught.value.reason is DeadLetterReason.TOO_COSTLY
