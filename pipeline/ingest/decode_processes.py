"""
Decoding in child processes: an image that needs too much memory or CPU time, or crashes its reader, ends only a child.

The parent does not trust a child: answers have fixed fields, and every length is checked before it is read.
"""

import fcntl
import mmap
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DeadLetterReason, DecoderFault, RecordFault
from pipeline.events.images import Decoded, ImageLimits, Picture, PixelSpec
from pipeline.ingest.decode_process import (
    ANSWER,
    FORMAT_NAMES,
    MAX_DETAIL_BYTES,
    READY,
    REASONS,
    REQUEST,
    Order,
    pixels_in,
    send_parts,
)
from pipeline.ingest.structure import check_bytes

# A child without an answer for this long is ended. CPU time has a separate limit; this one is for a child that waits.
ANSWER_TIMEOUT_S = 60
# Enough for a large socket message; the kernel caps it.
SOCKET_BUFFER_BYTES = 1 << 20

# Time in which a child must end by itself after its socket is closed.
GRACE_S = 0.2

_CLOSED = "`DecodeProcesses` is closed"
_PACKAGES = str(Path(__file__).parents[2])
_KEPT_VARIABLES = ("PYTHON", "LD_", "LC_", "LANG")
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    # Freed pixels go back to the system at once. Memory kept by the heap would count against the next image.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
}


class DecodeProcesses:
    """
    Up to `count` child processes that decode for any number of threads.

    A child starts when it is first needed, which takes 0.2 s of CPU. It is replaced when an image has ended it.
    """

    def __init__(self, count: int, spec: PixelSpec, limits: ImageLimits, *, thumbnail_side: int = 0) -> None:
        self._order = Order(spec, limits, thumbnail_side)
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(_Slot())
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def decode(self, data: bytes) -> Decoded:
        """
        Decode `data` in a child process; wait while all children are busy.

        Raises `RecordFault` like `decode_here`, with `too_costly` when the child ran out of CPU time, and with
        `corrupt_image` when it crashed.
        """
        check_bytes(data, self._order.limits)
        slot = self._free.get()
        try:
            return self._decoded(slot, data)
        except RecordFault:
            raise
        except BaseException:
            self._end(slot)  # a late answer to this image must not be taken for the answer to the next image
            raise
        finally:
            if self._closed:
                self._end(slot)
            self._free.put(slot)

    def pids(self) -> tuple[int, ...]:
        """Return the ids of the running children."""
        with self._lock:
            return tuple(child.process.pid for child in self._children)

    def close(self) -> None:
        """End the children. Threads that are decoding at that time get a `DecoderFault`."""
        self._closed = True
        with self._lock:
            children = list(self._children)
        for child in children:
            child.kill()  # the thread that waits for a busy child closes it
        with suppress(queue.Empty):
            while True:
                self._end(self._free.get_nowait())
        self._free.put(_Slot())  # wakes one waiting thread, which then wakes the next

    def _decoded(self, slot: "_Slot", data: bytes) -> Decoded:
        # A child may have been killed while it was idle, so the image is tried with a second child.
        for last in (False, True):
            child = slot.child = slot.child or self._start()
            answer = child.ask(data)
            if answer is not None:
                return answer
            fault = _fault_of(self._end(slot), self._order.limits, sure=last)
            if fault is not None and not self._closed:
                raise fault
        raise DecoderFault(_CLOSED)

    def _start(self) -> "_Child":
        if self._closed:
            raise DecoderFault(_CLOSED)
        child = _Child(self._order)
        with self._lock:
            self._children.add(child)
        if self._closed:
            child.kill()
        return child

    def _end(self, slot: "_Slot") -> int:
        child, slot.child = slot.child, None
        if child is None:
            return 0
        with self._lock:
            self._children.discard(child)
        return child.end()


@dataclass(slots=True)
class _Slot:
    """A slot for one child, used by one thread at a time."""

    child: "_Child | None" = None


class _Child:
    """A child process and its socket. Used by one thread at a time, except for `kill`."""

    def __init__(self, order: Order) -> None:
        self._limits, self._side = order.limits, order.thumbnail_side
        self._head = bytearray(ANSWER.size)
        self._socket, theirs = socket.socketpair()
        memory = _shared(3 * order.spec.size**2)
        try:
            self._pixels = pixels_in(mmap.mmap(memory, 0, prot=mmap.PROT_READ), order.spec)
            self.process = _started(theirs.fileno(), memory, order)
        finally:
            theirs.close()
            os.close(memory)
        for each in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, each, SOCKET_BUFFER_BYTES)
        for each in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, each, struct.pack("ll", ANSWER_TIMEOUT_S, 0))
        ready = bytearray(1)
        try:
            self._receive(memoryview(ready))
        except OSError as error:
            raise DecoderFault(f"a decode process did not start, its exit code is {self.end()}") from error
        assert bytes(ready) == READY

    def ask(self, data: bytes) -> Decoded | None:
        """Return the child's answer to `data`; None if the child died or does not answer. Raises `RecordFault`."""
        try:
            send_parts(self._socket, REQUEST.pack(len(data)), data)
            return self._answer()
        except OSError:
            return None

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()

    def end(self) -> int:
        """End the process, close the socket and return the exit code, for a signal the negative of its number."""
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        self.process.kill()
        return self.process.wait()

    def _answer(self) -> Decoded:
        self._receive(memoryview(self._head))
        reason, kind, animated, width, height, length = ANSWER.unpack(self._head)
        if reason < len(REASONS):
            detail = self._buffer(length, MAX_DETAIL_BYTES)
            raise RecordFault(REASONS[reason], detail.decode("utf-8", "replace"))
        limits = self._limits
        if reason > len(REASONS) or kind >= len(FORMAT_NAMES) or max(width, height) > limits.max_dimension:
            raise ConnectionError("an invalid answer")
        small = bytes(self._buffer(length, _most_thumbnail_bytes(self._side)))
        return Decoded(Picture(self._pixels.copy(), FORMAT_NAMES[kind], width, height, animated), small or None)

    def _buffer(self, length: int, most: int) -> bytearray:
        if length > most:
            raise ConnectionError(f"an answer of {length} bytes")
        buffer = bytearray(length)
        self._receive(memoryview(buffer))
        return buffer

    def _receive(self, view: memoryview) -> None:
        while len(view):
            count = self._socket.recv_into(view, flags=socket.MSG_WAITALL)
            if not count:
                raise ConnectionError("the decode process ended")
            view = view[count:]


def _shared(size: int) -> int:
    """Return the file descriptor of shared memory that a child cannot resize, so that reading it is safe."""
    memory = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory


def _started(connection: int, memory: int, order: Order) -> subprocess.Popen[bytes]:
    # No setting of the worker is passed to a child, because settings include passwords.
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT_VARIABLES)}
    path = os.pathsep.join(filter(None, (_PACKAGES, kept.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 -- this interpreter and a module of this package
        [sys.executable, "-P", "-m", "pipeline.ingest.decode_process", str(connection), str(memory), order.to_json()],
        pass_fds=[connection, memory],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # C libraries print warnings about hostile bytes
        env={**kept, **_ENVIRONMENT, "PYTHONPATH": path},
        process_group=0,
    )


def _most_thumbnail_bytes(side: int) -> int:
    return 3 * side * side + (64 << 10)


def _fault_of(code: int, limits: ImageLimits, *, sure: bool) -> RecordFault | None:
    """Return the fault of an image whose decoding made a child exit with `code`; None if the cause is not `sure`."""
    if code == -signal.SIGPROF:
        detail = f"decoding took more than {limits.max_cpu_s:g} s of CPU"
        return RecordFault(DeadLetterReason.TOO_COSTLY, detail)
    if not sure:
        return None
    if code == -signal.SIGKILL:
        detail = "its decode process was killed twice, or gave no valid answer"
        return RecordFault(DeadLetterReason.TOO_COSTLY, detail)
    how = f"with {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return RecordFault(DeadLetterReason.CORRUPT_IMAGE, f"its decode process ended twice {how}")
