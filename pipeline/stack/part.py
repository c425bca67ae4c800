"""Interface of every part of the local stack."""

from pathlib import Path
from typing import Protocol

from pipeline.errors import StackError
from pipeline.stack.process import BackgroundProcess

REPOSITORY = Path(__file__).parents[2]
LOCAL = REPOSITORY / "deploy" / "local"


class Part(Protocol):
    """
    One server of the stack.

    `install` installs its files and may take a minute; `installed` tells whether that is done. `start` returns as soon
    as the process runs. `ready` checks once whether the server answers, without waiting long. Both raise `StackError`,
    whose message says what to do. Clients connect to `address`.
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
