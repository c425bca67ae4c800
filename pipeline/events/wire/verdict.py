"""Verdict record: the answers of all policies about one image."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.events.many import Many
from pipeline.events.policies import Mode
from pipeline.events.wire.model import JsonRecord, wire_model
from pipeline.events.wire.parts import (
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
class PolicyAnswer:
    """One policy's answer about the image."""

    id: PolicyId
    digest: PolicyDigest
    mode: Annotated[
        Mode,
        Field(
            json_schema_extra=listed(Mode.ENFORCE, Mode.SHADOW),
            description="`enforce`: a yes is a flag event, or raises the severity of the parent's. `shadow`: no event.",
        ),
    ]
    score: Annotated[float, Field(description="The raw score.")]
    threshold: Threshold
    provisional: Provisional
    flagged: Annotated[bool, Field(description="The policy says yes.")]


@wire_model
class AuditDraw:
    """The draw of an image for review."""

    probability: Annotated[float, Field(gt=0, le=1, description="The probability with which the image was drawn.")]


@wire_model
class VerdictRecord(JsonRecord):
    """The answers of all policies about one image. The record's key is the event's id."""

    KIND: ClassVar[str] = "verdict"

    event: Event
    origin: InputOrigin
    image: Image
    model_digest: ModelDigest
    policy_set_digest: PolicySetDigest
    time: JudgedAt
    audit: Annotated[
        AuditDraw | None,
        Field(description="Set when the image was drawn for review, to find images that policies miss."),
    ]
    policies: Annotated[
        Many[PolicyAnswer],
        Field(description="Answers of the policies whose `scope` includes the image."),
    ]
