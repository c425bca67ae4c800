"""Files as a stream: every regular file under the given paths, in the order of their names."""

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

# Header of a record whose file could not be read: the reason. Such a record has no value, which no file has.
UNREADABLE = "watchword-unreadable"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_SIGNATURE_BYTES = 12


def list_files(paths: Iterable[Path]) -> list[Path]:
    """
    Return the files that `paths` name: a file itself, a folder's files at any depth, hidden ones left out.

    A folder inside that cannot be listed stands for what is in it. Raises `UsageError` for a path that is not there.
    """
    found: list[Path] = []
    for path in paths:
        if _mode(path, named=True) == stat.S_IFDIR:
            found += sorted(_inside(path))
        else:
            found.append(path)
    return found


def file_id(path: Path) -> str:
    r"""Return the path as an event's id: a byte that is no UTF-8 is written as `\xff`."""
    return encodable(path)


def has_image_signature(path: Path) -> bool:
    """Tell whether a file begins as an image of a known format does. Raises `OSError`."""
    with path.open("rb") as content:
        start = content.read(_SIGNATURE_BYTES)
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def fault_of(error: OSError) -> str:
    """Return why a file cannot be read, for people."""
    return f"it cannot be read: {error.strerror or error}"


def read_files(files: Iterable[Path], *, max_bytes: int) -> Iterator[Record]:
    """
    Yield each file as a record; of a file over the limit, one byte more than the limit is read.

    A file that cannot be read is a record without a value, which cannot be judged.
    """
    for place, file in enumerate(files):
        origin = Origin(file_id(file), 0, place)
        try:
            with file.open("rb") as content:
                record = Record(origin, None, content.read(max_bytes + 1))
        except OSError as error:
            record = Record(origin, None, None, ((UNREADABLE, fault_of(error).encode()),))
        yield record


def unreadable_reason(file: Path) -> str | None:
    """Return why a file cannot be read, None when it can."""
    try:
        with file.open("rb") as content:
            content.read(1)
    except OSError as error:
        return fault_of(error)
    return None


def as_unreadable(letter: DeadLetter) -> DeadLetter:
    """Return a dead letter with the reason of its file where that could not be read, else as it is."""
    told = dict(letter.record.headers).get(UNREADABLE)
    if letter.record.value is not None or told is None:
        return letter
    return DeadLetter(letter.record, DeadLetterReason.UNREADABLE, told.decode(), datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An image file and what its event says of it."""

    id: str
    image: Path
    source: str
    attributes: Mapping[str, str]


def read_events(events: Iterable[FileEvent], *, max_bytes: int) -> Iterator[Record]:
    """Yield each file as the record of an image event; other files as `read_files` does."""
    events = list(events)
    for event, record in zip(events, read_files([each.image for each in events], max_bytes=max_bytes), strict=True):
        kind = mimetypes.guess_type(event.image.name)[0] or "application/octet-stream"
        attributes = {encodable(name): encodable(text) for name, text in event.attributes.items()}
        headers = event_headers(encodable(event.id), encodable(event.source), attributes, content_type=kind)
        yield replace(record, headers=(*headers, *record.headers))


def _inside(folder: Path) -> Iterator[Path]:
    """Yield a folder's files, and the folders in it that cannot be listed."""
    unlisted: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(place) / name
            if not name.startswith(".") and _mode(file, named=False) in (stat.S_IFREG, None):
                yield file
    yield from unlisted


def _mode(path: Path, *, named: bool) -> int | None:
    """
    Return the kind of a path, links followed; None where that cannot be known.

    A path that leads nowhere is of no kind, 0, inside a folder; one that was `named` raises `UsageError`.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        if named:
            raise UsageError(f"`{path}`: not found") from error
        return 0
    except OSError:
        return None
