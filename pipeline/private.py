"""Files that hold pictures or people: for their owner alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.errors import UsageError

OWNER_ONLY = 0o600


def write_private(path: Path, text: str) -> None:
    """
    Write a file of mode 0600, also where there was one of another mode.

    Raises `UsageError` when it cannot be written or belongs to someone else.
    """
    try:
        with open_private(path) as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot be written for you alone: {error.strerror or error}") from error


@contextmanager
def open_private(path: Path) -> Iterator[TextIO]:
    """Open a file to be written anew, with mode 0600 before the first byte is in it. Raises `OSError`."""
    with _opened(path, os.O_TRUNC) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # not a terminal or a pipe, `/dev/stdout`
            os.fchmod(file.fileno(), OWNER_ONLY)
        yield file


@contextmanager
def append_private(path: Path) -> Iterator[TextIO]:
    """Open a file to be added to: a new one has mode 0600, one that is there keeps its own. Raises `OSError`."""
    with _opened(path, os.O_APPEND) as file:
        yield file


def _opened(path: Path, flag: int) -> TextIO:
    place = os.open(path, os.O_WRONLY | os.O_CREAT | flag | os.O_CLOEXEC, OWNER_ONLY)
    return os.fdopen(place, "w", encoding="utf-8", errors="backslashreplace")
