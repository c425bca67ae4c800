"""What comes out: verdicts, flag events and dead letters."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DeadLetterReason
from pipeline.events.images import DecodedImage
from pipeline.events.policies import Policy, PolicySet
from pipeline.events.records import Record

FLAG_NAMESPACE = UUID("6f1d5c7e-1b4d-5a52-9a55-0f6f0a1b7c11")


@dataclass(frozen=True, slots=True)
class PromptSimilarity:
    """The cosine of one image and one prompt of a policy; `kind` says which list the prompt is from."""

    kind: str
    prompt: str
    similarity: float


@dataclass(frozen=True, slots=True)
class FlagEvent:
    """A verdict that crossed an enforced policy, with what is needed to explain it and to make it again."""

    flag_id: UUID
    policy: Policy
    score: float
    similarities: tuple[PromptSimilarity, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The machine's outcome for one image.

    `embedding`: float16 [D], as archived and as judged. `scores`: float64 [P], raw; `flagged`: bool [P], score at or
    over the threshold; both in the order of `policy_set.policies`. `flags` has the enforced policies that said yes.
    """

    image: DecodedImage
    embedding: NDArray[np.float16]
    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    flags: tuple[FlagEvent, ...]
    policy_set: PolicySet
    model_digest: str
    time: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be judged, kept whole with its reason."""

    record: Record
    reason: DeadLetterReason
    detail: str
    time: datetime


def flag_id(source: str, event_id: str, policy_id: str, policy_digest: str, model_digest: str) -> UUID:
    """Return the id every re-making of the same flag has, so that at-least-once readers can drop repeats."""
    name = f"{source}\n{event_id}\n{policy_id}\n{policy_digest}\n{model_digest}"
    return uuid5(FLAG_NAMESPACE, name)
