"""What policy files mean: policies, and their set under the digest of all of it."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from pipeline.errors import UsageError
from pipeline.events.policies import Background, Head, Mode, Policy, PolicySet, ScoreKind
from pipeline.policies.schema import BackgroundFile, ChildFile, PolicyFile, Threshold

# What a policy says to people only: no score, no flag and no word of a flag depends on it.
_REMARKS = frozenset({"digest", "rationale"})


# Gives a policy the threshold that its file asks for, with what is known of it.
Fit = Callable[[Policy, Threshold], Policy]


def as_written(policy: Policy, threshold: Threshold) -> Policy:
    """Give a policy the value its file has; 0 where one is yet to be fitted: for scores, not for judging."""
    return dataclasses.replace(
        policy, threshold=threshold.value or 0.0, provisional=threshold.provisional, model=threshold.model
    )


def policies_of(file: PolicyFile, fit: Fit, head: Head | None = None) -> list[Policy]:
    """Return a file's policy and its children, each with its digest; a policy's covers what may raise its flags."""
    policy = Policy(
        id=file.id,
        title=file.title,
        prompts=_sorted(file.prompts),
        # Without a part in the score it is no part of the meaning.
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
    """Return the background bank's texts."""
    return Background(_sorted(file.prompts), _sorted(file.templates))


def compose(policies: list[Policy], background: Background) -> PolicySet:
    """Return the set that judges: those not off, by id, under the digest of everything in it."""
    active = tuple(sorted((policy for policy in policies if policy.mode is not Mode.OFF), key=lambda policy: policy.id))
    meaning = {
        "policies": [policy.digest for policy in active],
        "background": [list(background.prompts), list(background.templates)],
    }
    return PolicySet(active, background, digest_of(meaning))


def policy_named(policy_set: PolicySet, policy_id: str) -> Policy:
    """Return a policy of the set by its id. Raises `UsageError` with those there are."""
    for policy in policy_set.policies:
        if policy.id == policy_id:
            return policy
    known = ", ".join(f"`{policy.id}`" for policy in policy_set.policies)
    raise UsageError(f"no policy `{policy_id}`; there are {known}")


def with_digest(policy: Policy, children: Sequence[Policy] = ()) -> Policy:
    """
    Return the policy with the digest of what it means, its children's included.

    What stands at its default is left out, so that a language with more in it gives old policies their old digests.
    """
    meaning = dataclasses.asdict(policy)
    told = {
        field.name: meaning[field.name]
        for field in dataclasses.fields(Policy)
        if field.name not in _REMARKS and getattr(policy, field.name) != field.default
    }
    return dataclasses.replace(policy, digest=digest_of([told, sorted(child.digest for child in children)]))


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
        # A child is told by its own words, also where the policy is by a head.
        score=ScoreKind.CONTRAST if parent.score is ScoreKind.LINEAR else parent.score,
        head=None,
        parent=parent.id,
        audit_per_day=None,
    )


def _sorted(texts: list[str]) -> tuple[str, ...]:
    """Return texts in an order that does not depend on how they were written down."""
    return tuple(sorted(texts))


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"`{value!r}` has no place in a digest")
