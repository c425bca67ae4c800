"""Decisions: people's answers to verdicts and flags."""

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounded import brief
from pipeline.errors import UnreadableRecord
from pipeline.events.records import Record
from pipeline.events.wire.headers import Nothing
from pipeline.events.wire.model import WireRecord, first_problem
from pipeline.events.wire.versions import require_type

# More than any decision needs.
MOST_BYTES = 64 << 10
# No sample uses a lower probability, and the weight of a decision, one over its probability, must stay finite.
MINIMUM_PROBABILITY = 1e-12

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Probability = Annotated[float, Field(ge=MINIMUM_PROBABILITY, le=1)]
Content = Annotated[str, Field(max_length=64)]
Picture = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


def _in_utc(time: datetime) -> datetime:
    """Return the time unchanged. Raises `ValueError` if UTC cannot express it, at either end of the calendar."""
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("expected a time that also exists in UTC") from error
    return time


class Ruling(Enum):
    """
    A person's answer about one policy and one image.

    `UPHELD` and `OVERTURNED` are for images that the policy flagged, `MISSED` and `PASSED` for images that it did not.
    """

    UPHELD = "upheld"
    OVERTURNED = "overturned"
    MISSED = "missed"
    PASSED = "passed"

    @classmethod
    def of(cls, *, flagged: bool, right: bool) -> "Ruling":
        """
        Return the ruling on a policy's answer.

        `flagged`: whether the policy flagged the image; `right`: whether it should flag the image.
        """
        if flagged:
            return cls.UPHELD if right else cls.OVERTURNED
        return cls.MISSED if right else cls.PASSED

    @property
    def right(self) -> bool:
        """Whether the policy should flag the image, according to the person."""
        return self in (Ruling.UPHELD, Ruling.MISSED)

    @property
    def flagged(self) -> bool:
        """Whether the policy flagged the image."""
        return self in (Ruling.UPHELD, Ruling.OVERTURNED)


class Decision(WireRecord, BaseModel):
    """
    A person's decision about one policy and one event. If there are several about both, the latest counts.

    The record's key is the policy, the source and the event id, each on one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "decision"

    ruling: Annotated[
        Ruling,
        Field(
            description="`upheld` or `overturned` for an image that the policy flagged; `missed` or `passed` for one "
            "that it did not flag."
        ),
    ]
    policy: Annotated[Text, Field(description="The policy's id.")]
    source: Annotated[Text, Field(description="The event's source.")]
    event_id: Annotated[Text, Field(description="The event's id.")]
    time: Annotated[
        AwareDatetime, AfterValidator(_in_utc), Field(description="When the decision was made, RFC 3339 with its zone.")
    ]
    flag_id: Annotated[Text | Nothing, Field(description="The id of the flag that the decision is about.")] = None
    reviewer: Annotated[str, Field(max_length=200, description="Who decided.")] = ""
    note: Annotated[str, Field(max_length=4000, description="Why, in the reviewer's words.")] = ""
    probability: Annotated[
        Probability | Nothing, Field(description="The probability with which the image was drawn for review.")
    ] = None
    content: Annotated[Content | Nothing, Field(description="SHA-256 of the image's bytes, in hexadecimal.")] = None
    picture: Annotated[
        Picture | Nothing, Field(description="Difference hash of the picture, 64 bits in hexadecimal.")
    ] = None

    @classmethod
    def parse(cls, record: Record) -> Self:
        """Read a record of the decisions' topic; unknown fields are ignored. Raises only `UnreadableRecord`."""
        require_type(record, cls.KIND, cls.VERSION)
        value, origin = record.value or b"", str(record.origin)
        if len(value) > MOST_BYTES:
            raise UnreadableRecord(origin, cls.KIND, f"it has more than {MOST_BYTES:,} bytes")
        try:
            return cls.model_validate_json(value, extra="ignore")
        except ValidationError as error:
            raise UnreadableRecord(origin, cls.KIND, first_problem(error)) from error
        except Exception as error:  # a record may hold anything, and no record may end a reader
            raise UnreadableRecord(origin, cls.KIND, f"{type(error).__name__}: {brief(error)}") from error

    @property
    def weight(self) -> float:
        """Number of images that the decision represents: 1 ÷ its probability, or 1 without a probability."""
        return 1 / (self.probability or 1.0)

    @property
    def about(self) -> tuple[str, str, str]:
        """The subject of the decision: policy, source and event id."""
        return self.policy, self.source, self.event_id
