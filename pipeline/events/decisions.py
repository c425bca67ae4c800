"""What people decide about images: the human answer to a verdict."""

from enum import Enum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, max_length=1000)]


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
    time: AwareDatetime
    flag_id: Text | None = None
    reviewer: str = Field("", max_length=200)
    note: str = Field("", max_length=4000)
    probability: float | None = Field(None, gt=0, le=1)
    content: str | None = Field(None, max_length=64)
    picture: str | None = Field(None, pattern="^[0-9a-f]{16}$")

    @property
    def weight(self) -> float:
        """How many images it stands for; itself where nobody said how it was drawn."""
        return 1 / (self.probability or 1.0)

    @property
    def about(self) -> tuple[str, str, str]:
        """What is decided: policy, source and event id."""
        return self.policy, self.source, self.event_id
