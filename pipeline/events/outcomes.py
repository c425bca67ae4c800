"""What comes out: verdicts, flag events and dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import DeadLetterReason
from pipeline.events.images import DecodedImage
from pipeline.events.policies import Policy, PolicySet, Severity
from pipeline.events.records import Record

FLAG_NAMESPACE = UUID("6f1d5c7e-1b4d-5a52-9a55-0f6f0a1b7c11")


@dataclass(frozen=True, slots=True)
class PromptSimilarity:
    """Cosine of one image and one prompt of a policy; `kind` names the list that the prompt is from."""

    kind: Annotated[str, Field(json_schema_extra={"enum": ["prompt", "contrast", "background"]})]
    prompt: str
    similarity: Annotated[float, Field(ge=-1.001, le=1.001)]


@dataclass(frozen=True, slots=True)
class Raise:
    """A policy that found a flag to be worse than it says by itself."""

    policy: Policy
    score: float


@dataclass(frozen=True, slots=True)
class FlagEvent:
    """
    A verdict that crossed an enforced policy, with what is needed to explain it and to make it again.

    Its severity is the policy's, or the highest of what raised it.
    """

    flag_id: UUID
    policy: Policy
    score: float
    similarities: tuple[PromptSimilarity, ...]
    raised_by: tuple[Raise, ...] = ()

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return max((self.policy, *(each.policy for each in self.raised_by)), key=lambda p: p.severity.rank).severity


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The machine's outcome for one image.

    `embedding`: float16 [D], as archived and as judged. `scores`: float64 [P], raw; `in_scope`: bool [P], the policy is
    about this image; `flagged`: bool [P], it says yes; all in the order of `policy_set.policies`. `flags` has the
    enforced policies that said yes. `audit`: the probability with which the image was drawn to be looked at for what
    policies missed, None when it was not drawn.
    """

    image: DecodedImage
    embedding: NDArray[np.float16]
    scores: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    flags: tuple[FlagEvent, ...]
    policy_set: PolicySet
    model_digest: str
    time: datetime
    audit: float | None = None

    def answers(self) -> Iterator[tuple[Policy, float, bool]]:
        """Yield each policy that is about the image, its raw score, and whether it says yes."""
        columns = (self.in_scope.tolist(), self.policy_set.policies, self.scores.tolist(), self.flagged.tolist())
        for within, policy, score, flagged in zip(*columns, strict=True):
            if within:
                yield policy, score, flagged


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
