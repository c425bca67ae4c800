"""Folders made from a description of their entries: files, links and other objects."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Odd(Enum):
    """Kind of an object that is not a regular file."""

    FIFO = "fifo"
    FOLDER = "folder"
    SOCKET = "socket"


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Layout = Mapping[str | bytes, str | bytes | Odd | Link]


def lay(folder: Path, layout: Layout) -> None:
    """Create the entries of a layout in a folder, in order, replacing entries of the same names."""
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
