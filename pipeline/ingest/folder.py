"""Files as a stream: every regular file under the given paths, in the order of their names."""

import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.events.records import Origin, Record
from pipeline.ingest.event import event_headers


def list_files(paths: Iterable[Path]) -> list[Path]:
    """
    Return the files that `paths` name: a file itself, a folder's files at any depth, hidden ones left out.

    Raises `UsageError` for a path that is not there.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.is_file())
            found += sorted(file for file in inside if not _hidden(file.relative_to(path)))
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"`{path}`: not found")
    return found


def read_files(files: Iterable[Path], *, max_bytes: int) -> Iterator[Record]:
    """Yield each file as a record; of a file over the limit, one byte more than the limit is read."""
    for place, file in enumerate(files):
        with file.open("rb") as content:
            yield Record(Origin(str(file), 0, place), None, content.read(max_bytes + 1))


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An image file and what its event says of it."""

    id: str
    image: Path
    source: str
    attributes: Mapping[str, str]


def read_events(events: Iterable[FileEvent], *, max_bytes: int) -> Iterator[Record]:
    """Yield each file as the record of an image event; files over the limit as `read_files` does."""
    events = list(events)
    for event, record in zip(events, read_files([each.image for each in events], max_bytes=max_bytes), strict=True):
        kind = mimetypes.guess_type(event.image.name)[0] or "application/octet-stream"
        headers = event_headers(event.id, event.source, event.attributes, content_type=kind)
        yield replace(record, headers=headers)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
