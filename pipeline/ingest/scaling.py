"""Sizes for scaling: drafts, boxes and scaled pictures."""

from pipeline.events.images import PixelSpec

# A JPEG is decoded at the smallest eighth of its size with at least this many times the wanted pixels per side.
DRAFT_OVERSAMPLING = 2


# An image with at least this many times the wanted pixels per side is first averaged over whole boxes.
REDUCING_GAP = 2.0


# The largest scaled size, in pixels, for which an image is scaled whole before its middle is cropped.
LARGEST_SCALED = 16_000_000
Size = tuple[int, int]


def draft_size(width: int, height: int, spec: PixelSpec) -> Size:
    """Return the minimum size of a draft, with the aspect ratio of the image."""
    wanted = DRAFT_OVERSAMPLING * spec.size
    if spec.mode == "squash":
        return wanted, wanted
    scale = wanted / min(width, height)
    return round(width * scale), round(height * scale)


def box_factors(size: Size, spec: PixelSpec) -> Size:
    """Return the sides of the boxes to average before resizing, computed like Pillow's `reducing_gap`."""
    scaled = scaled_size(size, spec)
    return (1, 1) if spec.exact or area(scaled) > LARGEST_SCALED else _factors(size, scaled)


def _factors(size: Size, scaled: Size) -> Size:
    return int(size[0] / scaled[0] / REDUCING_GAP) or 1, int(size[1] / scaled[1] / REDUCING_GAP) or 1


def scaled_size(size: Size, spec: PixelSpec) -> Size:
    """Return the size of the whole image after scaling: the square, or a short side equal to the square's."""
    if spec.mode == "squash":
        return spec.size, spec.size
    return spec.size * size[0] // min(size), spec.size * size[1] // min(size)


def size_within(size: Size, side: int) -> Size:
    """Return a size with the same aspect ratio and a longer side of at most `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def area(size: Size) -> int:
    """Return the number of pixels."""
    return size[0] * size[1]
