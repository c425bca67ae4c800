"""A block of POSIX shared memory that leaves no name behind, even when its process is killed."""

from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray


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

    def unlink(self) -> None:
        """Remove the name; mappings stay."""
        if self._linked:
            self._memory.unlink()
            self._linked = False

    def close(self) -> None:
        """Remove the name and this process's mapping."""
        self.unlink()
        self._memory.close()
