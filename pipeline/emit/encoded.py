"""Encoded output records, and upper bounds of their size in bytes."""

from dataclasses import dataclass

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
        """Upper bound of the size of a batch with this record alone; the topic's limit applies to that batch."""
        return len(self.key) + len(self.value) + headers_bytes(self.headers) + RECORD_OVERHEAD_BYTES


def headers_bytes(headers: Headers) -> int:
    """Return an upper bound of the headers' size in a record."""
    return sum(len(name.encode()) + len(value) + HEADER_OVERHEAD_BYTES for name, value in headers)
