"""Private files, for example with pictures or personal data: only their owner may read them, under any umask."""

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
    Write a file with mode 0600, even if there was a file with another mode.

    Raises `UsageError` when it cannot be written or belongs to someone else.
    """
    try:
        with open_private(path) as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot be written for you alone: {error.strerror or error}") from error


@contextmanager
def open_private(path: Path) -> Iterator[TextIO]:
    """Open a file for writing and truncate it, with mode 0600 before its first byte. Raises `OSError`."""
    with _opened(path, os.O_TRUNC) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # not a terminal or a pipe, `/dev/stdout`
            os.fchmod(file.fileno(), OWNER_ONLY)
        yield file


@contextmanager
def append_private(path: Path) -> Iterator[TextIO]:
    """Open a file for appending. A new file has mode 0600; an existing one keeps its mode. Raises `OSError`."""
    with _opened(path, os.O_APPEND) as file:
        yield file


def _opened(path: Path, flag: int) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flag | os.O_CLOEXEC, OWNER_ONLY)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")
