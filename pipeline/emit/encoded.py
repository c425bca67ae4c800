"""One outcome ready for a topic."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from pipeline.events.records import Headers

# Upper bounds of the record format's own fields: lengths and deltas as varints, and the batch around one record.
RECORD_OVERHEAD_BYTES = 256
HEADER_OVERHEAD_BYTES = 10


@dataclass(frozen=True, slots=True)
class Encoded:
    """Key, value and headers of an output record."""

    key: bytes
    value: bytes
    headers: Headers

    @property
    def size_bytes(self) -> int:
        """An upper bound of its size in a batch of its own, which is what a topic's limit is held against."""
        return len(self.key) + len(self.value) + headers_bytes(self.headers) + RECORD_OVERHEAD_BYTES


def headers_bytes(headers: Headers) -> int:
    """Return an upper bound of what headers take in a record."""
    return sum(len(name.encode()) + len(value) + HEADER_OVERHEAD_BYTES for name, value in headers)


@lru_cache(maxsize=256)  # a time stands in several records of its image, and a verdict's in those of its whole chunk
def rfc3339(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
