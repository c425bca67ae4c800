"""What people decide about images: the human answer to a verdict."""

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipeline.bounded import brief

# More than any decision says.
MOST_BYTES = 64 << 10
# Of less, nobody could have drawn one; and its weight, one over it, must stay a number.
LEAST_PROBABILITY = 1e-12

Text = Annotated[str, Field(min_length=1, max_length=1000)]


def _in_utc(time: datetime) -> datetime:
    """Return a time as it is when it is one in UTC too, which at either end of the calendar it may not be."""
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time that is one in UTC too is expected") from error
    return time


class NoDecision(ValueError):
    """A record of the decisions' topic that is none; the message says why."""


class Ruling(Enum):
    """
    A person's answer about one policy and one image.

    `UPHELD` and `OVERTURNED` are of images that the policy flagged, `MISSED` and `PASSED` of those it did not.
    """

    UPHELD = "upheld"
    OVERTURNED = "overturned"
    MISSED = "missed"
    PASSED = "passed"

    @classmethod
    def of(cls, *, flagged: bool, right: bool) -> "Ruling":
        """Return what an answer means for what the policy said."""
        if flagged:
            return cls.UPHELD if right else cls.OVERTURNED
        return cls.MISSED if right else cls.PASSED

    @property
    def right(self) -> bool:
        """Whether the policy should flag the image."""
        return self in (Ruling.UPHELD, Ruling.MISSED)

    @property
    def flagged(self) -> bool:
        """Whether it did."""
        return self in (Ruling.UPHELD, Ruling.OVERTURNED)


class Decision(BaseModel):
    """
    One ruling as it stands on the decisions' topic. Of several about one policy and event, the last in time counts.

    `probability`: with which the image was drawn from the stream to be looked at; none when nobody said. `content` is
    the SHA-256 of the image's bytes and `picture` its difference hash, 64 bits in hexadecimal, where they are known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ruling: Ruling
    policy: Text
    source: Text
    event_id: Text
    time: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    flag_id: Text | None = None
    reviewer: str = Field("", max_length=200)
    note: str = Field("", max_length=4000)
    probability: float | None = Field(None, ge=LEAST_PROBABILITY, le=1)
    content: str | None = Field(None, max_length=64)
    picture: str | None = Field(None, pattern="^[0-9a-f]{16}$")

    @classmethod
    def read(cls, value: bytes) -> Self:
        """Read what a record holds. Raises `NoDecision`, and nothing else."""
        if len(value) > MOST_BYTES:
            raise NoDecision(f"more than {MOST_BYTES:,} bytes")
        try:
            return cls.model_validate_json(value)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, problem["loc"]))
            raise NoDecision(brief(f"{place}: {problem['msg']}" if place else problem["msg"])) from error
        except Exception as error:  # a record may hold anything, and must end no reader
            raise NoDecision(f"{type(error).__name__}: {brief(error)}") from error

    @property
    def weight(self) -> float:
        """How many images it stands for; itself where nobody said how it was drawn."""
        return 1 / (self.probability or 1.0)

    @property
    def about(self) -> tuple[str, str, str]:
        """What is decided: policy, source and event id."""
        return self.policy, self.source, self.event_id
