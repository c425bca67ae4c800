"""Bounded reading of files and texts from outside: no read blocks or fills the memory."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pipeline.visible import one_line

SHOWN_CHARACTERS = 200
_BLOCK_BYTES = 1 << 20


@contextmanager
def open_regular(path: Path, limit: int) -> Iterator[BufferedReader]:
    """
    Open a regular file of at most `limit` bytes. A FIFO or a device, which may block, is refused.

    Raises `OSError`. The file may grow after it was opened, so the caller must limit its reads.
    """
    with os.fdopen(_opened(path), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        _require_size(found.st_size, limit)
        yield file


def read_regular(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file of at most `limit`. Raises `OSError`."""
    blocks, size = [], 0
    with open_regular(path, limit) as file:
        # A file of `/proc` reports size 0 and may be endless.
        while block := file.read(_BLOCK_BYTES):
            size += len(block)
            _require_size(size, limit)
            blocks.append(block)
    return b"".join(blocks)


def json_values(data: bytes) -> int:
    """Return an upper bound on the number of values in a JSON text, without parsing it."""
    return 1 + data.count(b",") + data.count(b"[") + data.count(b"{")


def brief(text: object, limit: int = SHOWN_CHARACTERS) -> str:
    """Return a text on one line, without hidden characters, cut to about `limit` characters."""
    whole = str(text)
    return one_line(whole) if len(whole) <= limit else f"{one_line(whole[:limit])}…"


def why(error: OSError) -> str:
    """Return the operating system's reason for an error, without the path, which the caller's message has already."""
    return brief(error.strerror or error)


def _opened(path: Path) -> int:
    try:
        # Checked before opening, because opening some devices has effects.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a null byte or a lone surrogate in the name
        raise OSError(errno.EINVAL, f"not a valid file name: {error}") from error


def _require_size(size: int, limit: int) -> None:
    if size > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes")
