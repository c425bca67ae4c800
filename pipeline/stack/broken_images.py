"""Records that cannot be judged, one of each kind found in real streams, for the demo and for tests."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import DeadLetterReason


@dataclass(frozen=True, slots=True)
class BrokenImage:
    """A record that cannot be judged: its value, its content type, and the expected dead-letter reason."""

    name: str
    value: bytes
    content_type: str
    reason: DeadLetterReason


def broken_images(jpeg: bytes) -> Iterator[BrokenImage]:
    """Yield one record of each kind. `jpeg` is a valid photograph, from which damaged ones are made."""
    yield BrokenImage("empty.jpg", b"", "image/jpeg", DeadLetterReason.EMPTY)
    yield BrokenImage("truncated.jpg", jpeg[: len(jpeg) // 2], "image/jpeg", DeadLetterReason.CORRUPT_IMAGE)
    text = b"this is no image\n" * 20
    yield BrokenImage("text.png", text, "image/png", DeadLetterReason.UNSUPPORTED_FORMAT)
    yield BrokenImage("archive.jpg", _archive(), "image/jpeg", DeadLetterReason.UNSUPPORTED_FORMAT)
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>1</script></svg>'
    yield BrokenImage("drawing.svg", drawing, "image/svg+xml", DeadLetterReason.UNSUPPORTED_FORMAT)
    yield BrokenImage("bomb.png", bomb(30_000, 30_000), "image/png", DeadLetterReason.TOO_MANY_PIXELS)
    yield _reference("internal.json", "http://169.254.169.254/latest/meta-data", DeadLetterReason.REFERENCE_FORBIDDEN)
    yield BrokenImage("no-uri.json", b'{"url": 1}', "application/json", DeadLetterReason.BAD_REFERENCE)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few kilobytes that claims `width` x `height` pixels."""
    rows = zlib.compress(b"\0" * 1_000_000, 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "text")
    return content.getvalue()


def _reference(name: str, uri: str, reason: DeadLetterReason) -> BrokenImage:
    return BrokenImage(name, json.dumps({"uri": uri}).encode(), "application/json", reason)
