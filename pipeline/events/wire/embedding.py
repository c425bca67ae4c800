"""Embedding record: one image's embedding as judged, with metadata of the image in the headers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pipeline.bounded import brief
from pipeline.errors import UnreadableRecord
from pipeline.events.records import Record
from pipeline.events.wire.headers import HeaderFields, header_model
from pipeline.events.wire.model import WireRecord, adapter_of, first_problem
from pipeline.events.wire.parts import Digest, ModelDigest, PolicySetDigest
from pipeline.events.wire.versions import header_text, require_type

MOST_DIMENSIONS = 1 << 16
THUMBNAIL = "thumbnail"
CONTENT_TYPE = "application/octet-stream"


@header_model
class EmbeddingHeaders(HeaderFields):
    """Headers of an embedding record, after the CloudEvents headers. A `thumbnail`, a small JPEG, may follow."""

    dtype: Annotated[Literal["float16-le"], Field(description="Type of the numbers in the value.")]
    dimension: Annotated[str, Field(pattern="^[1-9][0-9]{0,5}$", description="Number of values in the embedding.")]
    model_digest: ModelDigest
    content_digest: Annotated[Digest, Field(description="SHA-256 of the image's bytes, in hexadecimal.")]
    event_id: Annotated[str, Field(description="The event's id, as in the verdict.")]
    event_source: Annotated[str, Field(description="The event's source, as in the verdict.")]
    event_time: Annotated[str, Field(description="Time of the event, RFC 3339; empty when it has none.")]
    event_reference: Annotated[
        str, Field(description="Address of the image; empty when the image came in its record.")
    ] = ""
    event_attributes: Annotated[
        str,
        Field(
            json_schema_extra={"contentMediaType": "application/json"},
            description="The event's attributes, a JSON object of texts.",
        ),
    ]
    policy_set_digest: PolicySetDigest
    origin: Annotated[
        str, Field(pattern="/[0-9]+/[0-9]+$", description="Topic, partition and offset of the input record.")
    ]


@dataclass(frozen=True, slots=True)
class EmbeddingRecord(WireRecord):
    """
    One image's embedding, as judged.

    `vector`: float16 [D], all finite. `judged_at`: the time of the verdict, empty for a record without CloudEvents
    headers. `thumbnail`: a small JPEG, empty when none was sent.
    """

    KIND: ClassVar[str] = "embedding"

    headers: EmbeddingHeaders
    vector: NDArray[np.float16]
    judged_at: str
    thumbnail: bytes

    @classmethod
    def parse(cls, record: Record) -> Self:
        """Read a record of a topic. Raises `UnreadableRecord`."""
        require_type(record, cls.KIND, cls.VERSION)
        headers = EmbeddingHeaders.of(record, cls.KIND)
        try:
            vector = _vector(record.value or b"", headers.dimension)
        except ValueError as error:
            raise UnreadableRecord(str(record.origin), cls.KIND, brief(error)) from error
        thumbnail = dict(record.headers).get(THUMBNAIL) or b""
        return cls(headers, vector, header_text(record.headers, "ce_time") or "", thumbnail)

    def attributes(self) -> dict[str, str]:
        """Return the event's attributes. Raises `ValueError`."""
        try:
            return adapter_of(dict[str, str]).validate_json(self.headers.event_attributes)
        except ValidationError as error:
            raise ValueError(f"`event-attributes`: {first_problem(error)}") from error

    def time(self) -> datetime:
        """Return the time of the event, or else of its verdict, in UTC. Raises `ValueError` and `OverflowError`."""
        text = self.headers.event_time or self.judged_at
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError(f"a time with a zone is expected, not {brief(text, 40)!r}")
        return time.astimezone(UTC)


def _vector(value: bytes, dimension: str) -> NDArray[np.float16]:
    """Return the numbers of a value. Raises `ValueError` unless they are finite and as many as they should be."""
    wanted = int(dimension)
    if wanted > MOST_DIMENSIONS:
        raise ValueError(f"a dimension of 1 to {MOST_DIMENSIONS:,} is expected, not {wanted:,}")
    vector = np.frombuffer(value, dtype="<f2")
    if len(vector) != wanted:
        raise ValueError(f"the value has {len(vector):,} numbers, and `dimension` says {wanted:,}")
    if not np.isfinite(vector).all():
        raise ValueError("the value has a number that is not finite")
    return vector
