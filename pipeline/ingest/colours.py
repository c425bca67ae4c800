"""Colour conversion: pixels of any mode to 8-bit grey or RGB, over white, band by band."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.ingest.scaling import Size

# Number of pixels converted at a time. During conversion, several copies of a band exist.
BAND_PIXELS = 1 << 18
EIGHT_BITS = 255
SIXTEEN_TO_EIGHT_BITS = 257.0  # of 16
PLAIN_MODES = frozenset({"RGB", "L"})
ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


def flattened(image: Image.Image, divisor: float, factors: Size = (1, 1)) -> Image.Image:
    """Convert `image` band by band to L or RGB, over white, averaged over boxes of `factors` pixels."""
    if image.mode in PLAIN_MODES and "transparency" not in image.info:
        return image if factors == (1, 1) else image.reduce(factors)
    size = -(-image.width // factors[0]), -(-image.height // factors[1])
    target: Image.Image | None = None
    for top, band in bands(image, factors[1]):
        flat = _flat(band, divisor)
        if factors != (1, 1):
            flat = flat.reduce(factors)
        if target is None:
            target = Image.new(flat.mode, size)
        target.paste(flat, (0, top // factors[1]))
    assert target is not None
    return target


def bands(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield bands of whole rows, each with its first row. All heights but the last are multiples of `multiple`."""
    rows = max(1, BAND_PIXELS // (image.width * multiple)) * multiple
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _flat(image: Image.Image, divisor: float) -> Image.Image:
    """Return `image` in L or RGB, over white, with its values scaled to 8 bits."""
    if image.mode.startswith("I;16"):
        return _from_array(np.array(image, np.float32), SIXTEEN_TO_EIGHT_BITS)
    if image.mode in {"I", "F"}:
        return _from_array(np.nan_to_num(np.array(image, np.float32), copy=False), divisor)
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGB", layer.size, (255, 255, 255))
        ground.paste(layer.convert("RGB"), mask=layer)  # twice as fast as `alpha_composite`
        return ground
    if image.mode in PLAIN_MODES:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_array(values: NDArray[np.float32], divisor: float) -> Image.Image:
    if divisor != 1:
        values /= divisor
    grey = np.clip(np.rint(values, out=values), 0, EIGHT_BITS, out=values).astype(np.uint8)
    return Image.fromarray(grey)


def brightest(image: Image.Image) -> float:
    """Return the largest value of a grey image, in its own units."""
    extremes = np.array(image.getextrema(), np.float32)
    if not np.isnan(extremes).any():
        return float(extremes[1])
    return max(float(np.nan_to_num(np.array(band, np.float32), copy=False).max()) for _, band in bands(image))
