"""Input: records of the stream, and their image events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Position of a record in its stream. For a file of a folder: its path, partition 0, its index in the listing."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Record:
    """
    One input record. `timestamp_ms` is the broker's or the producer's, in Unix milliseconds.

    `unreadable` is the problem if the client could not read the record. `value` then has the raw bytes, if any.
    """

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    unreadable: str | None = None

    @property
    def size_bytes(self) -> int:
        """The size that counts towards a chunk's limit: value, key and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers


@dataclass(frozen=True, slots=True)
class Reference:
    """The `file:`, `http:` or `https:` address of an image that is not in the record."""

    uri: str


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """
    The event in a record. `id` and `source` together name the image; `attributes` are its other `ce_` headers.

    `traceparent` is the producer's W3C trace context, None if the record has none.
    """

    origin: Origin
    id: str
    source: str
    time: datetime | None
    attributes: Mapping[str, str]
    content: bytes | Reference
    traceparent: str | None = None
