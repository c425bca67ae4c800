"""Dead-letter record: an input record that cannot be judged, with the reason and its position in the headers."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import Field

from pipeline.errors import DeadLetterReason
from pipeline.events.records import Headers, Origin, Record
from pipeline.events.wire.handling import LetterId
from pipeline.events.wire.headers import HeaderFields, Nothing, header_model
from pipeline.events.wire.model import WireRecord
from pipeline.events.wire.parts import Digest, Number, Time
from pipeline.events.wire.requeue import attempt_of
from pipeline.events.wire.versions import header_text

Parts = Annotated[str, Field(pattern="^(key|headers|value)(,(headers|value))*$")]


@header_model
class DeadLetterHeaders(HeaderFields):
    """Headers that Watchword adds to a dead letter, after the record's own. The last of a name counts."""

    PREFIX: ClassVar[str] = "watchword-"

    reason: Annotated[DeadLetterReason, Field(description="Why the record cannot be judged.")]
    detail: Annotated[str, Field(description="The reason in words.")]
    topic: Annotated[str, Field(description="Topic of the input record.")]
    partition: Annotated[Number, Field(description="Partition of the input record.")]
    offset: Annotated[Number, Field(description="Offset of the input record.")]
    time: Annotated[Time, Field(description="When the record became a dead letter, RFC 3339 in UTC.")]
    absent: Annotated[
        str,
        Field(description="`key`, `value` or `key,value`: null in the input record, and empty here."),
    ]
    truncated: Annotated[
        Parts | Nothing,
        Field(description="Parts that are cut here, because the record is larger than this topic allows."),
    ] = None
    value_bytes: Annotated[
        Number | Nothing, Field(description="Size of the whole value, if the dead letter is truncated.")
    ] = None
    value_sha256: Annotated[
        Digest | Nothing, Field(description="SHA-256 of the whole value, if the dead letter is truncated.")
    ] = None
    timestamp: Annotated[
        Number | Nothing, Field(description="Timestamp of the input record, in Unix milliseconds.")
    ] = None


@dataclass(frozen=True, slots=True)
class DeadLetterRecord(WireRecord):
    """
    An input record that cannot be judged.

    `own` are the headers that Watchword added. `event_headers`, `key` and `value` are those of the input record: empty
    where it had none, and cut where `own.truncated` says so. No header carries the version of a dead letter.
    """

    KIND: ClassVar[str] = "dead_letter"

    own: DeadLetterHeaders
    event_headers: Headers
    key: bytes
    value: bytes

    @classmethod
    def parse(cls, record: Record) -> Self:
        """Read a record of a topic. Raises `UnreadableRecord`."""
        own = DeadLetterHeaders.of(record, cls.KIND)
        first = max(n for n, (name, _) in enumerate(record.headers) if name == DeadLetterHeaders.NAMES[0])
        return cls(own, record.headers[:first], record.key or b"", record.value or b"")

    @property
    def origin(self) -> Origin:
        """Position of the input record."""
        return Origin(self.own.topic, int(self.own.partition), int(self.own.offset))

    @property
    def id(self) -> LetterId:
        """The input record that the letter keeps, whichever letter keeps it."""
        digest = self.own.value_sha256 or hashlib.sha256(self.value).hexdigest()
        return LetterId(self.origin, self.timestamp_ms, digest)

    @property
    def timestamp_ms(self) -> int | None:
        """Timestamp of the input record, in Unix milliseconds; None in letters of versions that did not keep it."""
        return None if self.own.timestamp is None else int(self.own.timestamp)

    @property
    def absent(self) -> frozenset[str]:
        """Those of `key` and `value` that were null in the input record, and are empty here."""
        return frozenset(self.own.absent.split(",")) & {"key", "value"}

    @property
    def size_bytes(self) -> int:
        """Size of the whole value of the input record."""
        return len(self.value) if self.own.value_bytes is None else int(self.own.value_bytes)

    @property
    def attempt(self) -> int:
        """Number of times that the record was on the input topic: 1, and one more for each time it was requeued."""
        return attempt_of(self.event_headers)

    @property
    def event_id(self) -> str:
        """The event's id, as far as the record gives one; empty otherwise."""
        return header_text(self.event_headers, "ce_id") or ""
