"""Parts that several kinds of record have in common."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from pipeline.events.records import Origin
from pipeline.events.wire.model import wire_model


def listed(*values: str) -> Callable[[dict[str, Any]], None]:
    """Return the part of a schema that lists the values of a text. Readers do not check it."""
    return lambda schema: schema.update(enum=list(values))


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern="Z$", json_schema_extra={"format": "date-time"})]
Number = Annotated[str, Field(pattern="^[0-9]{1,19}$")]


@wire_model
class EventFields:
    """The image event, as its sender described it."""

    id: Annotated[str, Field(description="The sender's id, or topic/partition/offset of a record without one.")]
    source: Annotated[str, Field(description="The sender's source, or the input topic of a record without one.")]
    time: Annotated[Time | None, Field(description="Time of the event, RFC 3339 in UTC; null when it has none.")]
    attributes: Annotated[dict[str, str], Field(description="The event's other `ce_` headers, without the prefix.")]


@wire_model
class ImageFields:
    """The judged image."""

    content_digest: Annotated[Digest, Field(description="SHA-256 of the image's bytes, in hexadecimal.")]
    format: Annotated[
        str,
        Field(json_schema_extra=listed("jpeg", "png", "webp", "gif", "bmp", "tiff"), description="The file format."),
    ]
    width: Annotated[int, Field(ge=1, description="Pixels, after EXIF orientation.")]
    height: Annotated[int, Field(ge=1, description="Pixels, after EXIF orientation.")]
    first_frame_only: Annotated[bool, Field(description="The image is animated and only its first frame was judged.")]


# Fields of both verdicts and flags.
Event = Annotated[EventFields, Field(description="The image event, as its sender described it.")]
InputOrigin = Annotated[Origin, Field(description="Position of the input record that had the image.")]
Image = Annotated[ImageFields, Field(description="The judged image.")]
ModelDigest = Annotated[Digest, Field(description="Digest of the model that made the embedding.")]
PolicySetDigest = Annotated[Digest, Field(description="Digest of the policy set that judged the image.")]
JudgedAt = Annotated[Time, Field(description="When the image was judged, RFC 3339 in UTC.")]
PolicyId = Annotated[str, Field(description="The policy's id.")]
PolicyDigest = Annotated[Digest, Field(description="Digest of the policy's meaning.")]
Threshold = Annotated[float, Field(description="The score at or above which the policy says yes.")]
Provisional = Annotated[bool, Field(description="The threshold's evidence does not support it yet.")]
