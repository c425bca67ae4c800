"""What every part of the local stack can do."""

from pathlib import Path
from typing import Protocol

from pipeline.errors import StackError
from pipeline.stack.process import BackgroundProcess

REPOSITORY = Path(__file__).parents[2]
LOCAL = REPOSITORY / "deploy" / "local"


class Part(Protocol):
    """
    One server of the stack.

    `install` brings its files and may take a minute; `installed` says whether that is done. `start` returns as soon as
    the process runs; `ready` asks once whether it serves, without waiting long. Both raise `StackError` with what to
    do. `address` is what clients connect to.
    """

    name: str
    process: BackgroundProcess
    address: str

    def installed(self) -> bool: ...

    def install(self) -> None: ...

    def start(self) -> None: ...

    def ready(self) -> bool: ...


def local_file(name: str) -> Path:
    """Return a file of `deploy/local`. Raises `StackError` outside a checkout."""
    path = LOCAL / name
    if not path.exists():
        raise StackError(f"`{path}`: not found; the local stack runs from a checkout of the repository")
    return path
