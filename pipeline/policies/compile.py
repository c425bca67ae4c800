"""Compilation of policy files to policies and a policy set, with their digests."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from pipeline.errors import UsageError
from pipeline.events.policies import Background, Head, Mode, Policy, PolicySet, ScoreKind
from pipeline.policies.schema import BackgroundFile, ChildFile, PolicyFile, Threshold

# Fields for people only. No score and no flag depends on them.
_REMARKS = frozenset({"digest", "rationale"})

# A function that gives a policy the threshold of its file, with its model, calibration and provisional mark.
Fit = Callable[[Policy, Threshold], Policy]


def as_written(policy: Policy, threshold: Threshold) -> Policy:
    """Return the policy with the threshold in its file, or 0 if it is not fitted yet: for scores, not for judging."""
    return dataclasses.replace(
        policy, threshold=threshold.value or 0.0, provisional=threshold.provisional, model=threshold.model
    )


def policies_of(file: PolicyFile, fit: Fit, head: Head | None = None) -> list[Policy]:
    """Return the policy of a file and its children, each with its digest. A policy's digest covers its children."""
    policy = Policy(
        id=file.id,
        title=file.title,
        prompts=_sorted(file.prompts),
        # Only with `contrast` scores does the contrast affect the score, and so the digest.
        contrast=_sorted(file.contrast) if file.score is ScoreKind.CONTRAST else (),
        templates=_sorted(file.templates),
        score=file.score,
        aggregate=file.aggregate,
        threshold=0.0,
        provisional=True,
        scope=file.scope.parse() if file.scope else None,
        severity=file.severity,
        action=file.action,
        owner=file.owner,
        mode=file.mode,
        expires=file.expires,
        labels=tuple(sorted(file.labels.items())),
        rationale=file.rationale,
        on_model_change=file.on_model_change,
        audit_per_day=file.audit.per_day if file.audit else None,
        head=head,
        restricted=file.restricted,
        digest="",
    )
    children = [with_digest(fit(_child(policy, child), child.threshold)) for child in file.children]
    return [with_digest(fit(policy, file.threshold), children), *children]


def background_of(file: BackgroundFile) -> Background:
    """Return the background of a file."""
    return Background(_sorted(file.prompts), _sorted(file.templates))


def compose(policies: list[Policy], background: Background) -> PolicySet:
    """Return the policy set: policies that are not off, by id, with the digest of them and the background."""
    active = tuple(sorted((policy for policy in policies if policy.mode is not Mode.OFF), key=lambda policy: policy.id))
    meaning = {
        "policies": [policy.digest for policy in active],
        "background": [list(background.prompts), list(background.templates)],
    }
    return PolicySet(active, background, digest_of(meaning))


def policy_named(policy_set: PolicySet, policy_id: str) -> Policy:
    """Return a policy of the set by its id. Raises `UsageError` with the known ids."""
    for policy in policy_set.policies:
        if policy.id == policy_id:
            return policy
    known = ", ".join(f"`{policy.id}`" for policy in policy_set.policies)
    raise UsageError(f"no policy `{policy_id}`; there are {known}")


def with_digest(policy: Policy, children: Sequence[Policy] = ()) -> Policy:
    """
    Return the policy with its digest, which covers its children.

    Fields at their default are omitted, so adding a field keeps existing digests.
    """
    meaning = dataclasses.asdict(policy)
    fields = {
        field.name: meaning[field.name]
        for field in dataclasses.fields(Policy)
        if field.name not in _REMARKS and getattr(policy, field.name) != field.default
    }
    return dataclasses.replace(policy, digest=digest_of([fields, sorted(child.digest for child in children)]))


def digest_of(meaning: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, hexadecimal."""
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _child(parent: Policy, child: ChildFile) -> Policy:
    return dataclasses.replace(
        parent,
        id=f"{parent.id}.{child.id}",
        title=child.title,
        prompts=_sorted(child.prompts),
        contrast=_sorted(child.contrast) if parent.score is not ScoreKind.SIMILARITY else (),
        severity=child.severity,
        # A child is scored by its own prompts, even if a head scores its parent.
        score=ScoreKind.CONTRAST if parent.score is ScoreKind.LINEAR else parent.score,
        head=None,
        parent=parent.id,
        audit_per_day=None,
    )


def _sorted(texts: list[str]) -> tuple[str, ...]:
    """Return texts in an order that does not depend on their order in the file."""
    return tuple(sorted(texts))


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"`{value!r}` cannot be part of a digest")
