"""Flag record: the yes of one enforced policy about one image, with everything that is needed to recompute it."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.events.many import Many
from pipeline.events.outcomes import PromptSimilarity
from pipeline.events.policies import Severity
from pipeline.events.wire.model import JsonRecord, wire_model
from pipeline.events.wire.parts import (
    Digest,
    Event,
    Image,
    InputOrigin,
    JudgedAt,
    ModelDigest,
    PolicyDigest,
    PolicyId,
    PolicySetDigest,
    Provisional,
    Threshold,
    listed,
)


@wire_model
class FlagPolicy:
    """The policy that flagged the image."""

    id: PolicyId
    title: Annotated[str, Field(description="The policy's name for people.")]
    digest: PolicyDigest
    severity: Annotated[Severity, Field(description="The policy's own severity, or the highest in `raised_by`.")]
    action: Annotated[str, Field(description="Instruction for the person who acts on the flag.")]
    owner: Annotated[str, Field(description="The team that owns the policy.")]
    labels: Annotated[dict[str, str], Field(description="The policy's labels, for routing.")]


@wire_model
class RaisedBy:
    """A child of the policy that said yes too."""

    id: PolicyId
    digest: PolicyDigest
    severity: Severity
    score: Annotated[float, Field(description="The child's raw score.")]
    threshold: Threshold
    provisional: Provisional


@wire_model
class FlagCalibration:
    """The calibration of the policy's threshold."""

    digest: Annotated[Digest, Field(description="Digest of the calibration, as stored.")]
    precision: Annotated[
        float | None, Field(description="Precision that the labels show; null for a threshold fitted to a queue.")
    ]
    confidence: Annotated[float | None, Field(description="Confidence of that precision; null without one.")]
    probability: Annotated[
        float | None, Field(ge=0, le=1, description="Probability that a flag with this score is right.")
    ]
    stale: Annotated[
        Many[Annotated[str, Field(json_schema_extra=listed("prompts", "target", "data"))]],
        Field(description="Changes since the threshold was fitted; it is provisional if there are any."),
    ]


@wire_model
class FlagRecord(JsonRecord):
    """The yes of one enforced policy about one image. The record's key is the event's id."""

    KIND: ClassVar[str] = "flag"

    flag_id: Annotated[
        str,
        Field(
            json_schema_extra={"format": "uuid"},
            description="UUIDv5 of source, event id, policy id, policy digest and model digest; the same flag, when "
            "recomputed, has the same id.",
        ),
    ]
    event: Event
    origin: InputOrigin
    image: Image
    model_digest: ModelDigest
    policy_set_digest: PolicySetDigest
    time: JudgedAt
    policy: Annotated[FlagPolicy, Field(description="The policy that flagged the image.")]
    score: Annotated[float, Field(description="The raw score, at or above `threshold`.")]
    threshold: Threshold
    provisional: Provisional
    raised_by: Annotated[Many[RaisedBy], Field(description="Children of the policy that said yes too.")]
    calibration: Annotated[
        FlagCalibration | None,
        Field(description="Calibration of the threshold; null for a threshold that was written by hand."),
    ]
    similarities: Annotated[
        Many[PromptSimilarity],
        Field(
            min_length=1,
            description="Cosine of the image with each of the policy's prompts, and with the nearest of the contrast "
            "and background prompts.",
        ),
    ]
