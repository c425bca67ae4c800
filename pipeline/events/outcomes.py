"""Outcomes of a record: verdicts, flag events and dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
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
    """Cosine of one image and one prompt of a policy. `kind` names the prompt's list."""

    kind: Annotated[str, Field(json_schema_extra={"enum": ["prompt", "contrast", "background"]})]
    prompt: str
    similarity: Annotated[float, Field(ge=-1.001, le=1.001)]


@dataclass(frozen=True, slots=True)
class Raise:
    """A child policy that raised the severity of a flag."""

    policy: Policy
    score: float


@dataclass(frozen=True, slots=True)
class FlagEvent:
    """
    The flag of an enforced policy for one image, with everything needed to explain and recompute it.

    Its severity is the policy's, or the highest among the children that raised it.
    """

    flag_id: UUID
    policy: Policy
    score: float
    similarities: tuple[PromptSimilarity, ...]
    raised_by: tuple[Raise, ...] = ()

    @property
    def severity(self) -> Severity:
        """The severity of the flag."""
        return max((self.policy, *(each.policy for each in self.raised_by)), key=lambda p: p.severity.rank).severity


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The machine's outcome for one image.

    `embedding`: float16 [D], as archived and as judged. `scores`: float64 [P], raw; `in_scope`: bool [P], the image is
    within the policy's scope; `flagged`: bool [P], the policy says yes; all in the order of `policy_set.policies`.
    `flags` has the flags of enforced policies. `audit`: the probability with which the image was drawn for the audit,
    None if it was not drawn.
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
        """Return each policy that has the image in its scope, its raw score, and whether it says yes."""
        answers = zip(self.policy_set.policies, self.scores.tolist(), self.flagged.tolist(), strict=True)
        return compress(answers, self.in_scope.tolist())


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be judged, kept whole, with its reason."""

    record: Record
    reason: DeadLetterReason
    detail: str
    time: datetime


def flag_id(source: str, event_id: str, policy_id: str, policy_digest: str, model_digest: str) -> UUID:
    """Return the id of a flag. Recomputing it gives the same id, so at-least-once readers can drop repeats."""
    name = f"{source}\n{event_id}\n{policy_id}\n{policy_digest}\n{model_digest}"
    return uuid5(FLAG_NAMESPACE, name)
