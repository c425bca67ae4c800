"""Image bytes to pixels of the encoder's size, limits checked before pixels are allocated. The only user of PIL."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits, Picture, PixelSpec

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# A JPEG is decoded at the smallest eighth that still has this many times the wanted pixels a side.
DRAFT_OVERSAMPLING = 2
# An image is averaged over whole boxes first when it still has this many times the wanted pixels a side.
REDUCING_GAP = 2.0
# Pixels of an image scaled whole before its middle is taken.
LARGEST_SCALED = 16_000_000

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_EIGHT_BITS = 255
_SIDEWAYS = frozenset({5, 6, 7, 8})


def decode(data: bytes, spec: PixelSpec, limits: ImageLimits) -> Picture:
    """
    Decode the first frame of `data` to what the encoder takes.

    Returns pixels uint8 [spec.size, spec.size, 3], RGB, upright by EXIF orientation, transparency over white, 16 bits
    reduced to 8. Raises `RecordFault` with `empty`, `too_large`, `unsupported_format`, `too_many_pixels` or
    `corrupt_image`.
    """
    if not data:
        raise RecordFault(DeadLetterReason.EMPTY, "the image has no bytes")
    if len(data) > limits.max_bytes:
        raise RecordFault(DeadLetterReason.TOO_LARGE, f"{len(data)} bytes, the limit is {limits.max_bytes}")
    with _faults_translated(data):
        image = _open(data)
        width, height = image.size
        _check_size(width, height, limits)
        return _picture(image, spec)


def rgb(data: bytes) -> NDArray[np.uint8]:
    """Return `data`'s first frame whole: uint8 [H, W, 3], RGB, upright. Raises `RecordFault`."""
    with _faults_translated(data):
        image = _open(data)
        turned = _orientation(image)
        return np.asarray(_upright(_to_rgb(image), turned))


def thumbnail(data: bytes, side: int) -> bytes:
    """
    Return a JPEG of `data`'s first frame, upright, its longer side at most `side`.

    Raises `RecordFault`.
    """
    with _faults_translated(data):
        image = _open(data)
        turned = _orientation(image)
        image.draft("RGB", (side, side))
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
        small = BytesIO()
        _upright(_to_rgb(image), turned).save(small, "JPEG", quality=70)
        return small.getvalue()


@contextmanager
def _faults_translated(data: bytes) -> Iterator[None]:
    try:
        yield
    except (RecordFault, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise RecordFault(DeadLetterReason.UNSUPPORTED_FORMAT, _describe(data)) from error
    except Image.DecompressionBombError as error:
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, str(error)) from error
    except Exception as error:  # the format readers raise anything on hostile bytes: struct.error,
        # KeyError, ZeroDivisionError were all seen. Whatever they raise, it is the image's fault.
        raise RecordFault(DeadLetterReason.CORRUPT_IMAGE, f"{type(error).__name__}: {error}") from error


def _open(data: bytes) -> ImageFile.ImageFile:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(BytesIO(data), formats=FORMATS)
    assert isinstance(image, ImageFile.ImageFile)
    return image


def _picture(image: ImageFile.ImageFile, spec: PixelSpec) -> Picture:
    width, height = image.size
    animated = bool(getattr(image, "is_animated", False))
    turned = _orientation(image)
    if spec.exact:
        pixels = _fit(_upright(_to_rgb(image), turned), spec)
    else:
        if image.format == "JPEG":
            image.draft(image.mode, _at_least(width, height, spec))
        pixels = _upright(_fit(_to_rgb(image), spec), turned)  # a small image turns faster
    if turned in _SIDEWAYS:
        width, height = height, width
    return Picture(np.asarray(pixels), str(image.format).lower(), width, height, animated)


def _orientation(image: Image.Image) -> Any:
    """Return what the EXIF block says: a number from 1 to 8, or whatever a hostile one holds."""
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _upright(image: Image.Image, orientation: Any) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _describe(data: bytes) -> str:
    start = data[:16].hex(" ")
    return f"not one of {', '.join(FORMATS)}; the bytes start with {start}"


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if max(width, height) > limits.max_dimension:
        detail = f"{width}x{height}, the limit is {limits.max_dimension} a side"
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, detail)
    if width * height > limits.max_pixels:
        detail = f"{width}x{height} = {width * height} pixels, the limit is {limits.max_pixels}"
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, detail)


def _at_least(width: int, height: int, spec: PixelSpec) -> tuple[int, int]:
    """Return the least size, with the image's own aspect, that a draft may have."""
    wanted = DRAFT_OVERSAMPLING * spec.size
    if spec.mode == "squash":
        return wanted, wanted
    scale = wanted / min(width, height)
    return round(width * scale), round(height * scale)


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _from_array(np.asarray(image).astype(np.float32) / 257.0)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image).astype(np.float32))
        return _from_array(values / 257.0 if values.max(initial=0.0) > _EIGHT_BITS else values)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _from_array(values: NDArray[np.float32]) -> Image.Image:
    grey: NDArray[Any] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _fit(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """Resize to the spec's square, with antialiasing, after a cheap box reduction of very large images."""
    if spec.mode == "squash":
        return _resize(image, (spec.size, spec.size), (0, 0, *image.size), spec)
    return _crop(image, spec)


def _resize(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float], spec: PixelSpec
) -> Image.Image:
    gap = None if spec.exact else REDUCING_GAP
    return image.resize(size, _RESAMPLE[spec.resample], box=box, reducing_gap=gap)


def _crop(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """
    Return the middle of the image with its short side scaled to the spec's.

    Whole pixels are counted as torchvision's `Resize` and `CenterCrop` do, and the processors made after them. Only of
    a strip that would take much memory scaled whole is the middle taken first.
    """
    side, short = spec.size, min(image.size)
    width, height = (side * length // short for length in image.size)
    if width * height > LARGEST_SCALED:
        left, top = ((length - short) / 2 for length in image.size)
        return _resize(image, (side, side), (left, top, left + short, top + short), spec)
    scaled = _resize(image, (width, height), (0, 0, *image.size), spec)
    left, top = (width - side) // 2, (height - side) // 2
    return scaled.crop((left, top, left + side, top + side))
