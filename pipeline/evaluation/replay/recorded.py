"""Outcomes read back from a stream's topics, as good as those that were just made."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DeadLetterReason, UsageError
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import PolicySet
from pipeline.events.records import Record


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """
    What a verdict says of each policy, in the order of `policy_set.policies`.

    `scores`: float64 [P], not a number where the policy is not about the image; `in_scope` and `flagged`: bool [P].
    """

    scores: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    policy_set: PolicySet
    model_digest: str


def retold_verdict(record: Record, policy_set: PolicySet) -> tuple[str, RecordedVerdict]:
    """Return a verdict's event id and what it says. Raises `UsageError` when another set made it."""
    fields = json.loads(record.value or b"")
    if fields["policy_set_digest"] != policy_set.digest:
        raise UsageError(
            f"the verdict of `{fields['event']['id']}` is by policy set {fields['policy_set_digest'][:12]}, not by "
            f"{policy_set.digest[:12]}: were policies edited meanwhile?"
        )
    said = {each["id"]: each for each in fields["policies"]}
    told = [said.get(policy.id) for policy in policy_set.policies]
    return fields["event"]["id"], RecordedVerdict(
        scores=np.array([each["score"] if each else np.nan for each in told], dtype=np.float64),
        in_scope=np.array([each is not None for each in told], dtype=bool),
        flagged=np.array([bool(each and each["flagged"]) for each in told], dtype=bool),
        policy_set=policy_set,
        model_digest=fields["model_digest"],
    )


def retold_dead_letter(record: Record) -> tuple[str, DeadLetter]:
    """Return a dead letter's event id and why it is one."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    reason, detail = DeadLetterReason(headers["watchword-reason"]), headers["watchword-detail"]
    return headers.get("ce_id", ""), DeadLetter(record, reason, detail, datetime.now(UTC))
