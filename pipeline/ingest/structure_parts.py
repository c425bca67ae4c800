"""Structure of an image, known before any pixel is decoded, and checks of it against the limits."""

from dataclasses import dataclass

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import ImageLimits


@dataclass(frozen=True, slots=True)
class Structure:
    """
    Format and size of the first frame as stored, before it is turned upright.

    `reader_bytes`: memory that the format's reader needs in addition to the pixels.
    """

    format: str
    width: int
    height: int
    reader_bytes: int = 0


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise `RecordFault` with `too_many_pixels` when a picture is larger than `limits` allow."""
    if max(width, height) > limits.max_dimension:
        detail = f"{width}x{height}, the limit is {limits.max_dimension} a side"
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, detail)
    if width * height > limits.max_pixels:
        detail = f"{width}x{height} = {width * height} pixels, the limit is {limits.max_pixels}"
        raise RecordFault(DeadLetterReason.TOO_MANY_PIXELS, detail)


def check_memory(needed: int, limits: ImageLimits) -> None:
    """Raise `RecordFault` with `too_costly` when decoding takes more memory than `limits` allow."""
    bounded("bytes of memory to decode it", needed, limits.max_memory_bytes)


def bounded(thing: str, count: int, limit: int) -> None:
    """Raise `RecordFault` with `too_costly` when there is more of `thing` than `limit`."""
    if count > limit:
        raise RecordFault(DeadLetterReason.TOO_COSTLY, f"{count} {thing}, the limit is {limit}")


def corrupt(detail: str) -> RecordFault:
    """Return the fault of an image with an invalid structure."""
    return RecordFault(DeadLetterReason.CORRUPT_IMAGE, detail)
