"""What comes in: a record of the stream and the image event it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Position of a record in its stream. For a file of a folder: its path, partition 0, its place in the listing."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Record:
    """
    One record as it was read. `timestamp_ms` is the broker's or the producer's, Unix milliseconds.

    `unreadable` is the problem of one that the client could not read: its value is then the raw bytes, if any.
    """

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    unreadable: str | None = None

    @property
    def size_bytes(self) -> int:
        """What the record weighs against a chunk's cap: value, key and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that is not in the record but at a `file:`, `http:` or `https:` address."""

    uri: str


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """What a record means. `id` and `source` together name the image; `attributes` are the other extension headers."""

    origin: Origin
    id: str
    source: str
    time: datetime | None
    attributes: Mapping[str, str]
    content: bytes | Reference
