"""Folders that are complete or absent."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UsageError


def require_new_folder(folder: Path) -> None:
    """Raise `UsageError` when files would be overwritten."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"`{folder}` is not empty; choose a new folder")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """
    Yield an empty folder next to `folder`, and rename it to `folder` when the block ends without an error.

    Any exception, for example a refusal or Ctrl-C, leaves nothing behind. `folder` must be absent or empty.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".watchword-") as parent_of_new:
        new = Path(parent_of_new) / folder.name
        new.mkdir()
        yield new
        new.replace(folder)
