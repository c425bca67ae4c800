"""Releases: the version history of the active policy set."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from pipeline.events.wire.model import JsonRecord
from pipeline.events.wire.parts import Digest


@dataclass(frozen=True, slots=True)
class Canary:
    """A policy set that judges a share of the images in place of the active one."""

    digest: Annotated[Digest, Field(description="Digest of the canary's policy set.")]
    share: Annotated[float, Field(gt=0, lt=1, description="Share of the images that it judges.")]


@dataclass(frozen=True, slots=True)
class Release(JsonRecord):
    """A policy set made the active one. The release under the key `current` is the last."""

    KIND: ClassVar[str] = "release"

    digest: Annotated[Digest, Field(description="Digest of the policy set.")]
    version: Annotated[int, Field(ge=1, description="Number of the release, counted up from 1.")]
    parent: Annotated[
        int, Field(ge=0, description="The version that was current when the author made this one; 0 for none.")
    ]
    time: Annotated[datetime, Field(description="When the set was published, RFC 3339 in UTC.")]
    author: Annotated[str, Field(description="Who published the set.")]
    note: Annotated[str, Field(description="Why, in the author's words.")] = ""
    canary: Annotated[Canary | None, Field(description="The canary that judges beside the set; null for none.")] = None


def in_sample(share: float, source: str, event_id: str, purpose: str) -> bool:
    """
    Tell whether an event is among a share, 0 to 1, of all: always the same for the same event.

    `purpose` keeps the draws apart: those of one are independent of another's.
    """
    digest = hashlib.sha256(f"{purpose}\n{source}\n{event_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
