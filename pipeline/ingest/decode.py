"""Decoding of image bytes to pixels of the encoder's size. Limits are checked before pixels are allocated."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Every reader is imported here, because Pillow would otherwise load all of its 40 for the first TIFF or WebP.
from PIL import (
    BmpImagePlugin,
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
from pipeline.ingest.colours import (
    EIGHT_BITS,
    PLAIN_MODES,
    SIXTEEN_TO_EIGHT_BITS,
    _flat,
    bands,
    brightest,
    flattened,
)
from pipeline.ingest.orientation import SIDEWAYS, TRANSPOSE, as_stored, orientation_of, upright
from pipeline.ingest.scaling import (
    LARGEST_SCALED,
    Size,
    _factors,
    area,
    box_factors,
    draft_size,
    scaled_size,
    size_within,
)
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

# Memory for bands, tables and the scaled picture, for any image.
SPARE_BYTES = 12 << 20

_DEFAULT_LIMITS = ImageLimits()

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # 4 for all others

Box = tuple[float, float, float, float]


def decode(data: bytes, spec: PixelSpec, limits: ImageLimits) -> Picture:
    """
    Decode the first frame of `data` to the input of the encoder.

    Returns pixels uint8 [spec.size, spec.size, 3], RGB, upright by EXIF orientation, with transparency over white and
    16 bits reduced to 8. Raises `RecordFault` with `empty`, `too_large`, `unsupported_format`, `too_many_pixels`,
    `too_costly` or `corrupt_image`.
    """
    return decode_here(data, spec, limits).picture


def decode_here(data: bytes, spec: PixelSpec, limits: ImageLimits, thumbnail_side: int = 0) -> Decoded:
    """
    Decode `data` like `decode`, in this process, and make a thumbnail of the same pixels.

    The thumbnail's longer side is at most `thumbnail_side`. There is no thumbnail if this is 0, or if making it fails.
    Raises `RecordFault` like `decode`.
    """
    with _faults_translated():
        opened = _open(data, limits)
        picture = _picture(opened, spec)
        small = _small_beside(data, opened, thumbnail_side, limits) if thumbnail_side else None
        return Decoded(picture, small)


def rgb(data: bytes, limits: ImageLimits = _DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Return the first frame of `data` in its full size: uint8 [H, W, 3], RGB, upright. Raises `RecordFault`."""
    with _faults_translated():
        opened = _open(data, limits)
        width, height = opened.image.size
        opened.load(extra_bytes=3 * width * height)
        width, height = opened.upright_size
        pixels = np.empty((height, width, 3), np.uint8)
        stored = as_stored(pixels, opened.turned)
        for top, band in bands(opened.image):
            stored[top : top + band.height] = np.asarray(_flat(band, opened.divisor).convert("RGB"))
        return pixels


def thumbnail(data: bytes, side: int, limits: ImageLimits = _DEFAULT_LIMITS) -> bytes:
    """
    Return a JPEG of the first frame of `data`, upright, with a longer side of at most `side` pixels.

    Raises `RecordFault`.
    """
    with _faults_translated():
        opened = _open(data, limits)
        opened.draft((side, side))
        opened.load()
        opened.flatten(_factors(opened.image.size, size_within(opened.image.size, side)))
        return _small(opened, side)


@dataclass(slots=True)
class _Opened:
    """
    An image that is being decoded, and its properties.

    `reader_bytes`: memory that its reader needs in addition to the pixels. `size`: the size of the whole picture, or of
    its draft. `divisor`: the number by which integer or float values are divided to get 8 bits. After `flatten`, the
    image is in L or RGB, and each of its pixels is the mean of a box of the picture, `factors` pixels across and down.
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
        return (height, width) if self.turned in SIDEWAYS else (width, height)

    def draft(self, size: Size) -> None:
        """Let a JPEG be decoded at a fraction of its size that is no smaller than `size`."""
        if self.format == "jpeg":
            self.image.draft(self.image.mode, size)

    def load(self, extra_bytes: int = 0) -> None:
        """Decode the pixels, unless this and `extra_bytes` for later steps need more memory than allowed."""
        image = self.image
        stored = _PIXEL_BYTES.get(image.mode, 4) * image.width * image.height
        if self.format == "tiff" and self.turned in TRANSPOSE:
            extra_bytes = max(extra_bytes, stored)  # Pillow rotates a copy
        check_memory(self.reader_bytes + stored + extra_bytes + SPARE_BYTES, self.limits)
        image.load()
        if self.format == "tiff":
            self.turned = 1  # loading has rotated it
        if image.mode in {"I", "F"} and brightest(image) > EIGHT_BITS:
            self.divisor = SIXTEEN_TO_EIGHT_BITS

    def flatten(self, factors: Size) -> None:
        """Convert a loaded image to L or RGB, over white, averaged over boxes of `factors` pixels."""
        self.size, self.factors = self.image.size, factors
        self.image = flattened(self.image, self.divisor, factors)

    def resized(self, size: Size, box: Box, resample: Image.Resampling) -> Image.Image:
        """Return `box` of a flattened picture, resized with antialiasing, in RGB. `box` is in pixels of the picture."""
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
    except Exception as error:  # format readers raise anything on hostile bytes, for example struct.error,
        # KeyError and ZeroDivisionError. Any exception here is the image's fault.
        raise RecordFault(DeadLetterReason.CORRUPT_IMAGE, f"{type(error).__name__}: {error}") from error


def _open(data: bytes, limits: ImageLimits) -> _Opened:
    structure = structure_of(data, limits)
    image = Image.open(BytesIO(data), formats=FORMATS)
    assert isinstance(image, READERS)
    check_size(*image.size, limits)
    return _Opened(image, structure.format, orientation_of(image), structure.reader_bytes + len(data), limits)


def _picture(opened: _Opened, spec: PixelSpec) -> Picture:
    # A second picture in a JPEG is a preview or a stereo image's other half, not the next frame.
    animated = opened.format != "jpeg" and bool(getattr(opened.image, "is_animated", False))
    width, height = opened.upright_size
    if not spec.exact:
        opened.draft(draft_size(*opened.image.size, spec))
    opened.load(_bytes_after(opened, spec))
    if opened.format == "tiff":
        width, height = opened.upright_size
    return Picture(np.asarray(_squared(opened, spec)), opened.format, width, height, animated)


def _squared(opened: _Opened, spec: PixelSpec) -> Image.Image:
    opened.flatten(box_factors(opened.image.size, spec))
    if spec.exact:
        opened.image, opened.turned = upright(opened.image, opened.turned), 1
        opened.size = opened.image.size
    return upright(_fit(opened, spec), opened.turned)  # rotating a small image is faster


def _small_beside(data: bytes, opened: _Opened, side: int, limits: ImageLimits) -> bytes | None:
    try:
        whole = opened.factors == (1, 1) and opened.format != "jpeg"
        return _small(opened, side) if whole or max(opened.image.size) >= side else thumbnail(data, side, limits)
    except Exception:  # noqa: BLE001 -- an image that could be decoded is judged even without a thumbnail
        return None


def _small(opened: _Opened, side: int) -> bytes:
    width, height = opened.size
    scaled = opened.resized(size_within((width, height), side), (0, 0, width, height), Image.Resampling.BICUBIC)
    content = BytesIO()
    upright(scaled, opened.turned).save(content, "JPEG", quality=70)
    return content.getvalue()


def _bytes_after(opened: _Opened, spec: PixelSpec) -> int:
    """Return the memory that scaling needs in addition to the image: converted colours, rotation and scaled rows."""
    width, height = opened.image.size
    across, down = box_factors(opened.image.size, spec)
    whole = 4 * width * height
    plain = opened.image.mode in PLAIN_MODES and (across, down) == (1, 1)
    flat = 0 if plain else whole // (across * down)
    turned = whole if spec.exact and opened.turned in TRANSPOSE else 0
    return flat + turned + 4 * min(LARGEST_SCALED, area(scaled_size(opened.image.size, spec)) + spec.size * height)


def _fit(opened: _Opened, spec: PixelSpec) -> Image.Image:
    """
    Resize a flattened picture to the spec's square, or resize its short side to the square's and crop the middle.

    Sizes are rounded like in torchvision's `Resize` and `CenterCrop`. If scaling a long strip whole would need much
    memory, the middle is cropped first.
    """
    size, side, resample = opened.size, spec.size, _RESAMPLE[spec.resample]
    width, height = scaled_size(size, spec)
    if width * height > LARGEST_SCALED:
        short = min(size)
        left, top = ((length - short) / 2 for length in size)
        return opened.resized((side, side), (left, top, left + short, top + short), resample)
    scaled = opened.resized((width, height), (0, 0, *size), resample)
    if spec.mode == "squash":
        return scaled
    left, top = (width - side) // 2, (height - side) // 2
    return scaled.crop((left, top, left + side, top + side))
