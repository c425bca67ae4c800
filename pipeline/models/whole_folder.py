"""Folders that are there whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """
    Yield an empty folder beside `folder`, which takes its place once the block has ended well.

    Whatever ends the block otherwise, a refusal or Ctrl-C, leaves nothing. `folder` must not exist, or be empty.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".watchword-") as place:
        made = Path(place) / folder.name
        made.mkdir()
        yield made
        made.replace(folder)
