"""Folders from what is in them: files, and what is no file."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Odd(Enum):
    """What stands in a file's place."""

    FIFO = "fifo"
    FOLDER = "folder"
    SOCKET = "socket"


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Layout = Mapping[str | bytes, str | bytes | Odd | Link]


def lay(folder: Path, layout: Layout) -> None:
    """Put into a folder what a layout says, in its order, instead of what is there under those names."""
    for name, content in layout.items():
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name)))
        if os.path.lexists(path) and content is not Odd.FOLDER:
            path.unlink()
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, Link):
            path.symlink_to(content.target)
        elif isinstance(content, Odd):
            _MAKERS[content](path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))


def _bind(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


_MAKERS: dict[Odd, Callable[[Path], None]] = {
    Odd.FIFO: os.mkfifo,
    Odd.FOLDER: lambda path: path.mkdir(exist_ok=True),
    Odd.SOCKET: _bind,
}
