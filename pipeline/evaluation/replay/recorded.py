"""Outcomes read back from a stream's topics, for use in place of outcomes made in this process."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import PolicySet
from pipeline.events.records import Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.verdict import VerdictRecord


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """
    A verdict's answer of each policy, in the order of `policy_set.policies`.

    `scores`: float64 [P], NaN where the image is outside the policy's scope; `in_scope` and `flagged`: bool [P].
    """

    scores: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    policy_set: PolicySet
    model_digest: str


def recorded_verdict(record: Record, policy_set: PolicySet) -> tuple[str, RecordedVerdict]:
    """Return a verdict's event id and its answers. Raises `UsageError` when another policy set made it."""
    verdict = VerdictRecord.parse(record)
    if verdict.policy_set_digest != policy_set.digest:
        raise UsageError(
            f"the verdict of `{verdict.event.id}` is by policy set {verdict.policy_set_digest[:12]}, not by "
            f"{policy_set.digest[:12]}: were policies edited meanwhile?"
        )
    recorded = {each.id: each for each in verdict.policies}
    answers = [recorded.get(policy.id) for policy in policy_set.policies]
    return verdict.event.id, RecordedVerdict(
        scores=np.array([each.score if each else np.nan for each in answers], dtype=np.float64),
        in_scope=np.array([each is not None for each in answers], dtype=bool),
        flagged=np.array([bool(each and each.flagged) for each in answers], dtype=bool),
        policy_set=policy_set,
        model_digest=verdict.model_digest,
    )


def recorded_dead_letter(record: Record) -> tuple[str, DeadLetter]:
    """Return a dead letter's event id, and the dead letter with its reason."""
    letter = DeadLetterRecord.parse(record)
    return letter.event_id, DeadLetter(record, letter.own.reason, letter.own.detail, datetime.now(UTC))
