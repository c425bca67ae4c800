"""Blocks of POSIX shared memory, and a mark by which others know whether their owner still lives."""

import contextlib
import fcntl
import os
import uuid
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- where POSIX shared memory is on Linux
PREFIX = "watchword-"


class Region:
    """
    A region another process on this host may map by `key` until `unlink`; both mappings outlive the name.

    `name` is what a server registers it under.
    """

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._memory = SharedMemory(create=True, size=size_bytes)
        self._linked = True

    @property
    def key(self) -> str:
        """The POSIX name, with its slash."""
        return f"/{self._memory.name}"

    def write(self, values: NDArray[Any]) -> int:
        """Copy an array to the start of the region and return its size in bytes."""
        np.ndarray(values.shape, values.dtype, buffer=self._memory.buf)[...] = values
        return values.nbytes

    def read(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return a copy of an array at the start of the region."""
        return np.ndarray(shape, dtype, buffer=self._memory.buf).copy()

    def blank(self) -> None:
        """Fill the region with bytes that read as NaN in every float type, so that what is not written shows."""
        np.ndarray((self.size_bytes,), np.uint8, buffer=self._memory.buf)[...] = 0xFF

    def unlink(self) -> None:
        """Remove the name; mappings stay."""
        if self._linked:
            self._memory.unlink()
            self._linked = False

    def close(self) -> None:
        """Remove the name and this process's mapping."""
        self.unlink()
        self._memory.close()


class Ownership:
    """
    A token that names one process's regions, and an empty locked file that says that the process lives.

    The kernel drops the lock when the process ends, however it ends. The file lies beside the shared memory, so that
    only processes which could have made the regions can judge them.
    """

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self._path = _mark(self.token)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def region_name(self) -> str:
        """Return a name for a region that no other has, in this process or in any."""
        return f"{PREFIX}{self.token}-{uuid.uuid4().hex}"

    def release(self) -> None:
        """Say that the regions are given up."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def owner_is_gone(region_name: str) -> bool:
    """
    Tell whether the process that named a region has ended for certain.

    False for names that are not Watchword's, and for those whose mark is not here: another host's, for one.
    """
    token, separator, _ = region_name.removeprefix(PREFIX).partition("-")
    if not region_name.startswith(PREFIX) or not separator or not token.isalnum():
        return False
    try:
        file = os.open(_mark(token), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def forget_owner(region_name: str) -> None:
    """Remove the mark of a process that is gone, once none of its regions is left."""
    token = region_name.removeprefix(PREFIX).partition("-")[0]
    with contextlib.suppress(OSError):
        _mark(token).unlink()


def _mark(token: str) -> Path:
    return SHARED_MEMORY / f"{PREFIX}{token}.owner"
