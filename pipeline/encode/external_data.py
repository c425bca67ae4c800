"""
External data of an ONNX graph: the files with its weights, found by parsing its Protocol Buffers encoding.

Workers do not have the `onnx` package. The parser enters only messages that can contain a tensor (onnx.proto3,
`ModelProto` to `TensorProto`). It skips everything else, weights included, without reading it.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.bounded import brief, open_regular
from pipeline.errors import BundleError
from pipeline.visible import one_line

_MOST_BYTES = 1 << 31  # the limit of Protocol Buffers for one message
_DEEPEST = 100
_VARINT_BITS = 70
_MOST_FIELDS = 500_000
_MOST_ENTRY_BYTES = 10_000

# For each kind of message, the kinds of the messages within it by field number.
_HOLDERS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    start: int
    stop: int


def external_files(path: Path) -> frozenset[str]:
    """Return the names of the files that the graph in `path` refers to. Raises `BundleError` if it is not a graph."""
    try:
        with open_regular(path, _MOST_BYTES) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return frozenset(_locations(data))
    except (OSError, ValueError) as error:
        raise BundleError(f"`{one_line(path)}`: not an ONNX graph: {brief(error)}") from error


def _locations(data: mmap.mmap) -> Iterator[str]:
    open_messages, seen = [("model", _fields(data, 0, len(data)))], 0
    while open_messages:
        kind, fields = open_messages[-1]
        field = next(fields, None)
        if field is None:
            open_messages.pop()
            continue
        seen += 1
        if seen > _MOST_FIELDS or len(open_messages) > _DEEPEST:
            raise ValueError("more parts than a graph of this size can have")
        inner = _HOLDERS[kind].get(field.number) if field.start < field.stop else None
        if inner == "entry":
            yield from _location(data, field)
        elif inner is not None:
            open_messages.append((inner, _fields(data, field.start, field.stop)))


def _location(data: mmap.mmap, entry: _Field) -> Iterator[str]:
    if entry.stop - entry.start > _MOST_ENTRY_BYTES:
        raise ValueError("a file name of an impossible length")
    parts = {field.number: data[field.start : field.stop] for field in _fields(data, entry.start, entry.stop)}
    if parts.get(_KEY) == b"location":
        yield parts.get(_VALUE, b"").decode()


def _fields(data: mmap.mmap, at: int, stop: int) -> Iterator[_Field]:
    """Yield the fields of a message. A field that is a number has an empty range `start` to `stop`."""
    while at < stop:
        tag, at = _varint(data, at, stop)
        start, size = at, 0
        match tag & 7:
            case 0:
                _, at = _varint(data, at, stop)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                size, start = _varint(data, at, stop)
                at = start + size
            case wire_type:
                raise ValueError(f"wire type {wire_type}")
        if at > stop:
            raise ValueError("cut short")
        yield _Field(tag >> 3, start, start + size)


def _varint(data: mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < _VARINT_BITS:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 -- the last byte
            return value, at
    raise ValueError("cut short")
