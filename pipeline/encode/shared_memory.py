"""Regions of POSIX shared memory, and a lock file that shows whether their owner is still running."""

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
    A region of shared memory. Until `unlink`, another process on this host can map it by `key`.

    Existing mappings remain valid after `unlink`. `name` is the name under which a server registers the region.
    """

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._memory = SharedMemory(create=True, size=size_bytes)
        self._linked = True

    @property
    def key(self) -> str:
        """The POSIX name, with a leading slash."""
        return f"/{self._memory.name}"

    def write(self, values: NDArray[Any]) -> int:
        """Copy an array to the start of the region and return its size in bytes."""
        np.ndarray(values.shape, values.dtype, buffer=self._memory.buf)[...] = values
        return values.nbytes

    def read(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return a copy of the array, of this shape and type, at the start of the region."""
        return np.ndarray(shape, dtype, buffer=self._memory.buf).copy()

    def blank(self) -> None:
        """Fill the region with bytes that read as NaN in every float type, so that missing values are noticed."""
        np.ndarray((self.size_bytes,), np.uint8, buffer=self._memory.buf)[...] = 0xFF

    def unlink(self) -> None:
        """Remove the name; mappings remain."""
        if self._linked:
            self._memory.unlink()
            self._linked = False

    def close(self) -> None:
        """Remove the name and this process's mapping."""
        self.unlink()
        self._memory.close()


class Ownership:
    """
    A token in the names of one process's regions, and an empty file that the process keeps locked while it runs.

    The kernel drops the lock when the process ends for any reason. The file is next to the shared memory, so only
    processes that share this memory can see the lock.
    """

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self._path = _mark(self.token)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def region_name(self) -> str:
        """Return a name for a region, unique among all processes."""
        return f"{PREFIX}{self.token}-{uuid.uuid4().hex}"

    def release(self) -> None:
        """Drop the lock: the regions are no longer in use."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1


def owner_is_gone(region_name: str) -> bool:
    """
    Tell whether the process that named a region has certainly ended.

    False for names that are not Watchword's, and for regions without a lock file here, for example another host's.
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
    """Remove the lock file of an ended process. Call it when none of the process's regions remain."""
    token = region_name.removeprefix(PREFIX).partition("-")[0]
    with contextlib.suppress(OSError):
        _mark(token).unlink()


def _mark(token: str) -> Path:
    return SHARED_MEMORY / f"{PREFIX}{token}.owner"
