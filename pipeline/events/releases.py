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
    """A policy set that was made the active set. The key `current` has the latest release."""

    KIND: ClassVar[str] = "release"

    digest: Annotated[Digest, Field(description="Digest of the policy set.")]
    version: Annotated[int, Field(ge=1, description="Number of the release, counted up from 1.")]
    parent: Annotated[
        int, Field(ge=0, description="The version that was current when the author made this one; 0 for none.")
    ]
    time: Annotated[datetime, Field(description="When the set was published, RFC 3339 in UTC.")]
    author: Annotated[str, Field(description="Who published the set.")]
    note: Annotated[str, Field(description="Why, in the author's words.")] = ""
    canary: Annotated[Canary | None, Field(description="The canary of this release; null for none.")] = None


def in_sample(share: float, source: str, event_id: str, purpose: str) -> bool:
    """
    Tell whether an event is in a random share, 0 to 1, of all events. The answer for an event never changes.

    Samples with a different `purpose` are independent of each other.
    """
    digest = hashlib.sha256(f"{purpose}\n{source}\n{event_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
