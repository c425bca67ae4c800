"""
The child side of decoding in processes. A child reads images from a socket and answers with pixels or faults.

    python -m pipeline.ingest.decode_process SOCKET MEMORY ORDER

SOCKET and MEMORY are file descriptors: a stream socket, and shared memory for the pixels of one picture. ORDER is a
JSON object: `spec`, `limits` and `thumbnail_side`. The child sends one byte when it is ready. A request is 4 bytes of
length and the image. An answer is `ANSWER` and then the thumbnail or, for a fault, its detail. The child ends when the
socket is closed, so it never outlives its parent.
"""

import gc
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.images import Decoded, ImageLimits, PixelSpec
from pipeline.ingest.structure import FORMATS

READY = b"\x06"
REQUEST = struct.Struct("<I")
# Index in `REASONS` or, for a picture, the number of reasons; index in `FORMAT_NAMES`; animated; width; height; size of
# the thumbnail or of the fault's detail.
ANSWER = struct.Struct("<BB?xIII")
REASONS = tuple(DeadLetterReason)
FORMAT_NAMES = tuple(name.lower() for name in FORMATS)
MAX_DETAIL_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Order:
    """The configuration of a child process."""

    spec: PixelSpec
    limits: ImageLimits
    thumbnail_side: int

    def to_json(self) -> str:
        """Return the order as JSON, for `from_json`."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Order":
        """Return an order from the JSON of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        return Order(PixelSpec(**fields["spec"]), ImageLimits(**fields["limits"]), fields["thumbnail_side"])


def pixels_in(memory: mmap.mmap, spec: PixelSpec) -> NDArray[np.uint8]:
    """Return the picture in shared memory, uint8 [size, size, 3]."""
    return np.frombuffer(memory, np.uint8).reshape(spec.size, spec.size, 3)


def serve(connection: socket.socket, pixels: NDArray[np.uint8], order: Order) -> None:
    """Answer requests until the other side closes the socket. Each image has the CPU time limit of the order."""
    # Imported here because the parent process imports this module for its constants, and does not decode.
    from pipeline.ingest.decode import decode_here  # noqa: PLC0415

    _confine(order.limits.max_memory_bytes)
    connection.sendall(READY)
    while len(head := _receive(connection, REQUEST.size)) == REQUEST.size:
        data = _receive(connection, REQUEST.unpack(head)[0])
        signal.setitimer(signal.ITIMER_PROF, order.limits.max_cpu_s)
        try:
            decoded = decode_here(data, order.spec, order.limits, order.thumbnail_side)
            pixels[...] = decoded.picture.pixels
            answer = _picture(decoded)
        except RecordFault as fault:
            answer = _fault(fault)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send_parts(connection, *answer)


def send_parts(connection: socket.socket, head: bytes, body: bytes) -> None:
    """Send two buffers, in one message if the socket accepts it, without joining them in memory."""
    sent = connection.sendmsg((head, body))
    if sent < len(head):
        connection.sendall(head[sent:])
    if sent < len(head) + len(body):
        connection.sendall(memoryview(body)[max(0, sent - len(head)) :])


def _receive(connection: socket.socket, size: int) -> bytes:
    data = connection.recv(size, socket.MSG_WAITALL)
    while 0 < len(data) < size and (more := connection.recv(size - len(data), socket.MSG_WAITALL)):
        data += more  # a signal interrupted the first call
    return data


def _confine(memory_bytes: int) -> None:
    gc.collect()
    gc.freeze()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _picture(decoded: Decoded) -> tuple[bytes, bytes]:
    picture, small = decoded.picture, decoded.thumbnail or b""
    format_index = FORMAT_NAMES.index(picture.format)
    head = ANSWER.pack(len(REASONS), format_index, picture.animated, picture.width, picture.height, len(small))
    return head, small


def _fault(fault: RecordFault) -> tuple[bytes, bytes]:
    detail = fault.detail.encode("utf-8", "backslashreplace")[:MAX_DETAIL_BYTES]
    return ANSWER.pack(REASONS.index(fault.reason), 0, False, 0, 0, len(detail)), detail  # noqa: FBT003 -- a field


def main() -> None:
    """Serve the socket and the order that the command line names."""
    # A supervisor may signal every process. A worker that is draining still needs its children, which end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the CPU limit must end the child, even if the parent ignores it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    with suppress(OSError):  # when memory runs out, the kernel kills a child rather than the worker
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = socket.socket(fileno=int(sys.argv[1]))
    order = Order.from_json(sys.argv[3])
    pixels = pixels_in(mmap.mmap(int(sys.argv[2]), 3 * order.spec.size**2), order.spec)
    with suppress(BrokenPipeError, ConnectionResetError):
        serve(connection, pixels, order)
    os._exit(0)


if __name__ == "__main__":
    main()
