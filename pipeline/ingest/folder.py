"""Files as a stream: every regular file under the given paths, in the order of their names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.events.records import Origin, Record


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


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
