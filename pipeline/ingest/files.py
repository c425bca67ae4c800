"""`file:` references: regular files under allowed roots, opened so that swapped files or links are harmless."""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from pipeline.errors import DeadLetterReason
from pipeline.ingest.shown import fault

_READ_BYTES = 1 << 20
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW
_KERNEL = (Path("/proc"), Path("/sys"))


def read_file(uri: str, roots: tuple[Path, ...], max_bytes: int, left: Callable[[], float]) -> bytes:
    """
    Return the content of the file that a `file:` reference names.

    `left` returns the seconds until the deadline, and raises when it has passed; it is called before each read. Raises
    `RecordFault` with `bad_reference`, `reference_forbidden`, `too_large` or `fetch_failed`, and the errors of `left`.
    """
    path = _path(uri)
    try:
        resolved = path.resolve()
        _require_root(resolved, roots)
        with _opened(resolved) as descriptor:
            return _content(descriptor, max_bytes, left)
    except RuntimeError as error:  # a cycle of links
        raise fault(DeadLetterReason.FETCH_FAILED, str(error)) from error
    except OSError as error:
        raise fault(DeadLetterReason.FETCH_FAILED, error.strerror or type(error).__name__) from error


def _path(uri: str) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise fault(DeadLetterReason.BAD_REFERENCE, "not a valid URL") from error
    name = unquote_to_bytes(parts.path)
    if parts.netloc.lower() not in ("", "localhost") or not name.startswith(b"/") or b"\0" in name:
        raise fault(DeadLetterReason.BAD_REFERENCE, "not an absolute path on this host")
    return Path(os.fsdecode(name))


def _require_root(path: Path, roots: tuple[Path, ...]) -> None:
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        detail = "not under an allowed root (WATCHWORD_FILE_ROOTS)"
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, detail)
    if any(path.is_relative_to(folder) for folder in _KERNEL):
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, "a file of the kernel")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a resolved path folder by folder. A link that appeared in the path meanwhile is refused, not followed."""
    descriptor = os.open(path.anchor, _FOLDER)
    try:
        for name in path.parts[1:-1]:
            descriptor = _replaced(descriptor, os.open(name, _FOLDER, dir_fd=descriptor))
        # Opening a device may have effects, so the kind of file is checked before and after.
        _require_regular(os.stat(path.name or ".", dir_fd=descriptor, follow_symlinks=False))
        descriptor = _replaced(descriptor, os.open(path.name, _FILE, dir_fd=descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _content(descriptor: int, max_bytes: int, left: Callable[[], float]) -> bytes:
    found = os.fstat(descriptor)
    _require_regular(found)
    if found.st_dev in {folder.stat().st_dev for folder in _KERNEL if folder.is_mount()}:
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, "a file of the kernel")
    content = io.BytesIO()
    while content.tell() <= max_bytes and found.st_size <= max_bytes:
        left()
        piece = os.read(descriptor, min(_READ_BYTES, max_bytes + 1 - content.tell()))
        if not piece:
            return content.getvalue()
        content.write(piece)
    raise fault(DeadLetterReason.TOO_LARGE, f"more than {max_bytes} bytes")


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise fault(DeadLetterReason.FETCH_FAILED, "not a regular file")
