"""Alterations of images that are typical for uploads, to measure their effect on a model."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

BORDER_SHARE = 0.15
OVERLAY = "SALE 50% OFF"
OVERLAY_SHARE = 0.14
TURN_DEGREES = 20
BLUR_SHARE = 0.015


def alter(pixels: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """Return images, uint8 [N, S, S, 3], altered by the entry `kind` of `ALTERATIONS`."""
    change = ALTERATIONS[kind]
    return np.stack([np.asarray(change(Image.fromarray(each))) for each in pixels])


def _borders(image: Image.Image) -> Image.Image:
    """Bars above and below, like those of a screenshot."""
    side = image.size[0]
    edge = round(BORDER_SHARE * side)
    framed = Image.new("RGB", image.size, "black")
    framed.paste(image.resize((side, side - 2 * edge), Image.Resampling.BICUBIC), (0, edge))
    return framed


def _overlaid_text(image: Image.Image) -> Image.Image:
    """A line of white text with black edges across the lower half."""
    side = image.size[0]
    written = image.copy()
    font = ImageFont.load_default(size=max(8, round(OVERLAY_SHARE * side)))
    ImageDraw.Draw(written).text(
        (side / 2, 0.7 * side), OVERLAY, fill="white", font=font, anchor="mm", stroke_width=1, stroke_fill="black"
    )
    return written


def _rotation(image: Image.Image) -> Image.Image:
    return image.rotate(TURN_DEGREES, Image.Resampling.BICUBIC, fillcolor="white")


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR_SHARE * image.size[0]))


def _sketch(image: Image.Image) -> Image.Image:
    """Edges, dark on white."""
    edges = image.convert("L").filter(ImageFilter.GaussianBlur(0.5)).filter(ImageFilter.FIND_EDGES)
    return ImageOps.invert(ImageOps.autocontrast(edges)).convert("RGB")


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "borders": _borders,
    "overlaid text": _overlaid_text,
    "rotation": _rotation,
    "blur": _blur,
    "sketch": _sketch,
}
