"""Image bytes to pixels of the encoder's size, limits checked before pixels are allocated."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The readers are named one by one: without them Pillow loads all of its 40 when it meets the first TIFF or WebP.
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import Decoded, ImageLimits, Picture, PixelSpec
from pipeline.ingest.structure import FORMATS, structure_of
from pipeline.ingest.structure_parts import check_memory, check_size

READERS = (
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    JpegImagePlugin.JpegImageFile,
    MpoImagePlugin.MpoImageFile,
    PngImagePlugin.PngImageFile,
    TiffImagePlugin.TiffImageFile,
    WebPImagePlugin.WebPImageFile,
)

# A JPEG is decoded at the smallest eighth that still has this many times the wanted pixels a side.
DRAFT_OVERSAMPLING = 2
# An image is averaged over whole boxes first when it still has this many times the wanted pixels a side.
REDUCING_GAP = 2.0
# Pixels of an image scaled whole before its middle is taken.
LARGEST_SCALED = 16_000_000
# Pixels of which colours are converted at a time: several copies of a band exist at once.
BAND_PIXELS = 1 << 18
# Memory for bands, tables and the scaled picture, whatever the image.
SPARE_BYTES = 12 << 20

_DEFAULT_LIMITS = ImageLimits()

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
_TO_EIGHT_BITS = 257.0  # of 16
_SIDEWAYS = frozenset({5, 6, 7, 8})
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # 4 for all others
_PLAIN = frozenset({"RGB", "L"})
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})

Size = tuple[int, int]
Box = tuple[float, float, float, float]


def decode(data: bytes, spec: PixelSpec, limits: ImageLimits) -> Picture:
    """
    Decode the first frame of `data` to what the encoder takes.

    Returns pixels uint8 [spec.size, spec.size, 3], RGB, upright by EXIF orientation, transparency over white, 16 bits
    reduced to 8. Raises `RecordFault` with `empty`, `too_large`, `unsupported_format`, `too_many_pixels`, `too_costly`
    or `corrupt_image`.
    """
    return decode_here(data, spec, limits).picture


def decode_here(data: bytes, spec: PixelSpec, limits: ImageLimits, thumbnail_side: int = 0) -> Decoded:
    """
    Decode `data` as `decode` does, in this process, and make a thumbnail of the same pixels.

    The thumbnail's longer side is at most `thumbnail_side`; there is none at 0, or where making it fails. `RecordFault`
    as by `decode`.
    """
    with _faults_translated():
        opened = _open(data, limits)
        picture = _picture(opened, spec)
        small = _small_beside(data, opened, thumbnail_side, limits) if thumbnail_side else None
        return Decoded(picture, small)


def rgb(data: bytes, limits: ImageLimits = _DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Return `data`'s first frame whole: uint8 [H, W, 3], RGB, upright. Raises `RecordFault`."""
    with _faults_translated():
        opened = _open(data, limits)
        width, height = opened.image.size
        opened.load(extra_bytes=3 * width * height)
        width, height = opened.upright_size
        pixels = np.empty((height, width, 3), np.uint8)
        stored = _as_stored(pixels, opened.turned)
        for top, band in _bands(opened.image):
            stored[top : top + band.height] = np.asarray(_flat(band, opened.divisor).convert("RGB"))
        return pixels


def thumbnail(data: bytes, side: int, limits: ImageLimits = _DEFAULT_LIMITS) -> bytes:
    """
    Return a JPEG of `data`'s first frame, upright, its longer side at most `side`.

    Raises `RecordFault`.
    """
    with _faults_translated():
        opened = _open(data, limits)
        opened.draft((side, side))
        opened.load()
        opened.flatten(_factors(opened.image.size, _within(opened.image.size, side)))
        return _small(opened, side)


@dataclass(slots=True)
class _Opened:
    """
    An image on its way to pixels, and what is known of it.

    `reader_bytes`: memory that its reader takes beside the pixels. `size`: of the whole picture, or of its draft.
    `divisor`: of an image of whole or real numbers, what brings them to 8 bits. Once flattened, the image is
    in L or RGB, and each of its pixels the mean of a box of the picture, `factors` pixels across and down.
    """

    image: Image.Image
    format: str
    turned: Any
    reader_bytes: int
    limits: ImageLimits
    divisor: float = 1.0
    factors: Size = (1, 1)
    size: Size = (0, 0)

    @property
    def upright_size(self) -> Size:
        width, height = self.image.size
        return (height, width) if self.turned in _SIDEWAYS else (width, height)

    def draft(self, size: Size) -> None:
        """Have a JPEG decoded at a fraction that is no smaller than `size`."""
        if self.format == "jpeg":
            self.image.draft(self.image.mode, size)

    def load(self, extra_bytes: int = 0) -> None:
        """Decode the pixels, unless that and `extra_bytes` for what comes after take more memory than allowed."""
        image = self.image
        stored = _PIXEL_BYTES.get(image.mode, 4) * image.width * image.height
        if self.format == "tiff" and self.turned in _TRANSPOSE:
            extra_bytes = max(extra_bytes, stored)  # Pillow turns a copy
        check_memory(self.reader_bytes + stored + extra_bytes + SPARE_BYTES, self.limits)
        image.load()
        if self.format == "tiff":
            self.turned = 1  # loading has turned it
        if image.mode in {"I", "F"} and _brightest(image) > _EIGHT_BITS:
            self.divisor = _TO_EIGHT_BITS

    def flatten(self, factors: Size) -> None:
        """Bring a loaded image to L or RGB, over white, averaged over boxes of `factors` pixels."""
        self.size, self.factors = self.image.size, factors
        self.image = _flattened(self.image, self.divisor, factors)

    def resized(self, size: Size, box: Box, resample: Image.Resampling) -> Image.Image:
        """Return `box` of a flattened picture, in the picture's own pixels, resized with antialiasing, in RGB."""
        across, down = self.factors
        left, top, right, bottom = box
        reduced = left / across, top / down, right / across, bottom / down
        return self.image.resize(size, resample, box=reduced).convert("RGB")


@contextmanager
def _faults_translated() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RecordFault:
        raise
    except MemoryError as error:
        raise RecordFault(DeadLetterReason.TOO_COSTLY, "decoding it takes more memory than there is") from error
    except UnidentifiedImageError as error:
        raise RecordFault(DeadLetterReason.CORRUPT_IMAGE, "its header cannot be read") from error
    except Image.DecompressionBombError as error:
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, str(error)) from error
    except Exception as error:  # the format readers raise anything on hostile bytes: struct.error,
        # KeyError, ZeroDivisionError were all seen. Whatever they raise, it is the image's fault.
        raise RecordFault(DeadLetterReason.CORRUPT_IMAGE, f"{type(error).__name__}: {error}") from error


def _open(data: bytes, limits: ImageLimits) -> _Opened:
    structure = structure_of(data, limits)
    image = Image.open(BytesIO(data), formats=FORMATS)
    assert isinstance(image, READERS)
    check_size(*image.size, limits)
    return _Opened(image, structure.format, _orientation(image), structure.reader_bytes + len(data), limits)


def _picture(opened: _Opened, spec: PixelSpec) -> Picture:
    # A second picture in a JPEG is a preview or the other eye's, and no next frame.
    animated = opened.format != "jpeg" and bool(getattr(opened.image, "is_animated", False))
    width, height = opened.upright_size
    if not spec.exact:
        opened.draft(_at_least(*opened.image.size, spec))
    opened.load(_bytes_after(opened, spec))
    if opened.format == "tiff":
        width, height = opened.upright_size
    return Picture(np.asarray(_squared(opened, spec)), opened.format, width, height, animated)


def _squared(opened: _Opened, spec: PixelSpec) -> Image.Image:
    opened.flatten(_box_factors(opened.image.size, spec))
    if spec.exact:
        opened.image, opened.turned = _upright(opened.image, opened.turned), 1
        opened.size = opened.image.size
    return _upright(_fit(opened, spec), opened.turned)  # a small image turns faster


def _small_beside(data: bytes, opened: _Opened, side: int, limits: ImageLimits) -> bytes | None:
    try:
        whole = opened.factors == (1, 1) and opened.format != "jpeg"
        return _small(opened, side) if whole or max(opened.image.size) >= side else thumbnail(data, side, limits)
    except Exception:  # noqa: BLE001 -- an image with pixels is judged, with a thumbnail or without
        return None


def _small(opened: _Opened, side: int) -> bytes:
    width, height = opened.size
    scaled = opened.resized(_within((width, height), side), (0, 0, width, height), Image.Resampling.BICUBIC)
    content = BytesIO()
    _upright(scaled, opened.turned).save(content, "JPEG", quality=70)
    return content.getvalue()


def _orientation(image: Image.Image) -> Any:
    """Return what the EXIF block says: a number from 1 to 8, or whatever a hostile one holds."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if isinstance(orientation, int) else 1


def _upright(image: Image.Image, orientation: Any) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _as_stored(pixels: NDArray[np.uint8], orientation: Any) -> NDArray[np.uint8]:
    """Return a view of upright `pixels` in whose rows and columns the image is stored."""
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels.transpose(1, 0, 2) if orientation in _SIDEWAYS else pixels


def _at_least(width: int, height: int, spec: PixelSpec) -> Size:
    """Return the least size, with the image's own aspect, that a draft may have."""
    wanted = DRAFT_OVERSAMPLING * spec.size
    if spec.mode == "squash":
        return wanted, wanted
    scale = wanted / min(width, height)
    return round(width * scale), round(height * scale)


def _bytes_after(opened: _Opened, spec: PixelSpec) -> int:
    """Return memory that scaling takes beside the image: its colours converted, turned, and the scaled rows."""
    width, height = opened.image.size
    across, down = _box_factors(opened.image.size, spec)
    whole = 4 * width * height
    plain = opened.image.mode in _PLAIN and (across, down) == (1, 1)
    flat = 0 if plain else whole // (across * down)
    turned = whole if spec.exact and opened.turned in _TRANSPOSE else 0
    return flat + turned + 4 * min(LARGEST_SCALED, _area(_scaled_size(opened.image.size, spec)) + spec.size * height)


def _box_factors(size: Size, spec: PixelSpec) -> Size:
    """Return the sides of boxes to average before resizing, as Pillow finds them from its `reducing_gap`."""
    scaled = _scaled_size(size, spec)
    return (1, 1) if spec.exact or _area(scaled) > LARGEST_SCALED else _factors(size, scaled)


def _factors(size: Size, scaled: Size) -> Size:
    return int(size[0] / scaled[0] / REDUCING_GAP) or 1, int(size[1] / scaled[1] / REDUCING_GAP) or 1


def _scaled_size(size: Size, spec: PixelSpec) -> Size:
    """Return what the whole image is scaled to: the square, or its short side to the square's."""
    if spec.mode == "squash":
        return spec.size, spec.size
    return spec.size * size[0] // min(size), spec.size * size[1] // min(size)


def _within(size: Size, side: int) -> Size:
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _area(size: Size) -> int:
    return size[0] * size[1]


def _fit(opened: _Opened, spec: PixelSpec) -> Image.Image:
    """
    Resize a flattened picture to the spec's square, or its short side to it and cut the middle out.

    Whole pixels are counted as torchvision's `Resize` and `CenterCrop` do, and the processors made after them. Only of
    a strip that would take much memory scaled whole is the middle taken first.
    """
    size, side, resample = opened.size, spec.size, _RESAMPLE[spec.resample]
    width, height = _scaled_size(size, spec)
    if width * height > LARGEST_SCALED:
        short = min(size)
        left, top = ((length - short) / 2 for length in size)
        return opened.resized((side, side), (left, top, left + short, top + short), resample)
    scaled = opened.resized((width, height), (0, 0, *size), resample)
    if spec.mode == "squash":
        return scaled
    left, top = (width - side) // 2, (height - side) // 2
    return scaled.crop((left, top, left + side, top + side))


def _flattened(image: Image.Image, divisor: float, factors: Size = (1, 1)) -> Image.Image:
    """Return `image` in L or RGB, over white, averaged over boxes of `factors` pixels; converted band by band."""
    if image.mode in _PLAIN and "transparency" not in image.info:
        return image if factors == (1, 1) else image.reduce(factors)
    size = -(-image.width // factors[0]), -(-image.height // factors[1])
    target: Image.Image | None = None
    for top, band in _bands(image, factors[1]):
        flat = _flat(band, divisor)
        if factors != (1, 1):
            flat = flat.reduce(factors)
        if target is None:
            target = Image.new(flat.mode, size)
        target.paste(flat, (0, top // factors[1]))
    assert target is not None
    return target


def _bands(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield runs of whole rows, each but the last a multiple of `multiple`, with the row each starts at."""
    rows = max(1, BAND_PIXELS // (image.width * multiple)) * multiple
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _flat(image: Image.Image, divisor: float) -> Image.Image:
    """Return `image` in L or RGB, over white, its numbers brought to 8 bits."""
    if image.mode.startswith("I;16"):
        return _from_array(np.array(image, np.float32), _TO_EIGHT_BITS)
    if image.mode in {"I", "F"}:
        return _from_array(np.nan_to_num(np.array(image, np.float32), copy=False), divisor)
    if image.mode in _ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGB", layer.size, (255, 255, 255))
        ground.paste(layer.convert("RGB"), mask=layer)  # half the time of `alpha_composite`
        return ground
    if image.mode in _PLAIN:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_array(values: NDArray[np.float32], divisor: float) -> Image.Image:
    if divisor != 1:
        values /= divisor
    grey = np.clip(np.rint(values, out=values), 0, _EIGHT_BITS, out=values).astype(np.uint8)
    return Image.fromarray(grey)


def _brightest(image: Image.Image) -> float:
    extremes = np.array(image.getextrema(), np.float32)
    if not np.isnan(extremes).any():
        return float(extremes[1])
    return max(float(np.nan_to_num(np.array(band, np.float32), copy=False).max()) for _, band in _bands(image))
