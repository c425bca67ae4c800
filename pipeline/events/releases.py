"""What says which policy set is in force: a release, one after the other, each naming the one before it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Canary:
    """A set that judges `share` of the images, 0 to 1, in place of the one in force."""

    digest: str
    share: float


@dataclass(frozen=True, slots=True)
class Release:
    """
    A policy set put in force.

    `digest` names the set; `version` counts up from 1; `parent` is the version before, 0 for none, that its author had
    seen. `note` says why, in the author's words.
    """

    digest: str
    version: int
    parent: int
    time: datetime
    author: str
    note: str = ""
    canary: Canary | None = None


def in_sample(share: float, source: str, event_id: str, purpose: str) -> bool:
    """
    Tell whether an event is among a share, 0 to 1, of all: always the same for the same event.

    `purpose` keeps the draws apart: those of one are independent of another's.
    """
    digest = hashlib.sha256(f"{purpose}\n{source}\n{event_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
