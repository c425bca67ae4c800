"""Handling of a dead letter: what a person did with it, when and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.errors import DeadLetterReason
from pipeline.events.records import Origin
from pipeline.events.wire.model import JsonRecord
from pipeline.events.wire.parts import Digest


class Action(StrEnum):
    """Actions on a dead letter. The last one decides whether the letter is open."""

    REQUEUED = "requeued"
    DROPPED = "dropped"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class LetterId:
    """
    Identity of the input record that a dead letter keeps.

    Its position alone is not enough: a topic that was deleted and created again uses its offsets again.
    """

    origin: Origin
    timestamp_ms: int | None
    value_sha256: str

    def __str__(self) -> str:
        timestamp = "" if self.timestamp_ms is None else str(self.timestamp_ms)
        return f"{self.origin}\n{timestamp}\n{self.value_sha256}"


@dataclass(frozen=True, slots=True)
class Handling(JsonRecord):
    """
    An action on a dead letter. The record's key is the position, the timestamp and the SHA-256, each on one line.

    A `requeued` letter's record is on the input topic again, written in the same transaction as this record. A
    `dropped` letter will not be judged. A `restored` letter was dropped, and is open again.
    """

    KIND: ClassVar[str] = "dead_letter_handling"

    origin: Annotated[Origin, Field(description="Position of the input record.")]
    timestamp_ms: Annotated[
        int | None,
        Field(description="Timestamp of the input record, in Unix milliseconds; null where the letter has none."),
    ]
    value_sha256: Annotated[Digest, Field(description="SHA-256 of the input record's value.")]
    reason: Annotated[DeadLetterReason, Field(description="Why the record could not be judged.")]
    action: Annotated[Action, Field(description="What was done with the letter.")]
    time: Annotated[datetime, Field(description="When it was done, RFC 3339 in UTC.")]
    by: Annotated[str, Field(description="Who did it.")]
    note: Annotated[str, Field(description="Why, in that person's words.")] = ""
    attempt: Annotated[
        int | None, Field(ge=2, description="The attempt that a requeued record begins; null for other actions.")
    ] = None

    @property
    def letter(self) -> LetterId:
        """The input record that the letter keeps."""
        return LetterId(self.origin, self.timestamp_ms, self.value_sha256)
