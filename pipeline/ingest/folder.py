"""Files as records: every regular file under the given paths, in the order of their names."""

import mimetypes
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import DeadLetterReason, UsageError
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Origin, Record
from pipeline.ingest.event import event_headers
from pipeline.visible import encodable

# Header of the record of an unreadable file, with the reason. Only such records have no value.
UNREADABLE = "watchword-unreadable"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_SIGNATURE_BYTES = 12


def list_files(paths: Iterable[Path]) -> list[Path]:
    """
    Return the files at `paths` and, for folders, the files in them at any depth, without hidden files.

    An inner folder that cannot be listed is returned in place of its files. Raises `UsageError` for a missing path.
    """
    found: list[Path] = []
    for path in paths:
        if _mode(path, named=True) == stat.S_IFDIR:
            found += sorted(_inside(path))
        else:
            found.append(path)
    return found


def file_id(path: Path) -> str:
    r"""Return the path as an event's id. A byte that is not UTF-8 is written as `\xff`."""
    return encodable(path)


def has_image_signature(path: Path) -> bool:
    """Tell whether a file begins with the signature of a known image format. Raises `OSError`."""
    with path.open("rb") as content:
        start = content.read(_SIGNATURE_BYTES)
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def fault_of(error: OSError) -> str:
    """Return the reason why a file cannot be read, for people."""
    return f"it cannot be read: {error.strerror or error}"


def read_files(files: Iterable[Path], *, max_bytes: int) -> Iterator[Record]:
    """
    Yield each file as a record. If a file exceeds the limit, one byte more than the limit is read.

    A file that cannot be read becomes a record without a value, which cannot be judged.
    """
    for index, file in enumerate(files):
        origin = Origin(file_id(file), 0, index)
        try:
            with file.open("rb") as content:
                record = Record(origin, None, content.read(max_bytes + 1))
        except OSError as error:
            record = Record(origin, None, None, ((UNREADABLE, fault_of(error).encode()),))
        yield record


def unreadable_reason(file: Path) -> str | None:
    """Return the reason why a file cannot be read, or None if it can be."""
    try:
        with file.open("rb") as content:
            content.read(1)
    except OSError as error:
        return fault_of(error)
    return None


def as_unreadable(letter: DeadLetter) -> DeadLetter:
    """Return the dead letter of an unreadable file with the file's reason, and any other dead letter unchanged."""
    reason = dict(letter.record.headers).get(UNREADABLE)
    if letter.record.value is not None or reason is None:
        return letter
    return DeadLetter(letter.record, DeadLetterReason.UNREADABLE, reason.decode(), datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An image file and the metadata of its event."""

    id: str
    image: Path
    source: str
    attributes: Mapping[str, str]


def read_events(events: Iterable[FileEvent], *, max_bytes: int) -> Iterator[Record]:
    """Yield each file as the record of an image event. Unreadable files are treated like in `read_files`."""
    events = list(events)
    for event, record in zip(events, read_files([each.image for each in events], max_bytes=max_bytes), strict=True):
        kind = mimetypes.guess_type(event.image.name)[0] or "application/octet-stream"
        attributes = {encodable(name): encodable(text) for name, text in event.attributes.items()}
        headers = event_headers(encodable(event.id), encodable(event.source), attributes, content_type=kind)
        yield replace(record, headers=(*headers, *record.headers))


def _inside(folder: Path) -> Iterator[Path]:
    """Yield a folder's files, and its inner folders that cannot be listed."""
    unlisted: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent) / name
            if not name.startswith(".") and _mode(file, named=False) in (stat.S_IFREG, None):
                yield file
    yield from unlisted


def _mode(path: Path, *, named: bool) -> int | None:
    """
    Return the file mode of a path (`st_mode`), with links followed; None if it cannot be determined.

    For a broken link inside a folder, return 0. A path that the user `named` and that does not exist raises
    `UsageError`.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        if named:
            raise UsageError(f"`{path}`: not found") from error
        return 0
    except OSError:
        return None
