"""Thresholds meet a model they were not fitted for."""

from collections.abc import Collection
from dataclasses import replace

from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, OnModelChange, Policy, PolicySet
from pipeline.policies.compile import compose, digest_of


def stale_policies(policy_set: PolicySet, models: Collection[str]) -> tuple[Policy, ...]:
    """Return the policies whose threshold names a model that is none of `models`, digests of one model's engines."""
    return tuple(
        policy
        for policy in policy_set.policies
        if any(model not in models for model in (policy.model, policy.head and policy.head.model) if model is not None)
    )


def for_model(policy_set: PolicySet, models: Collection[str]) -> PolicySet:
    """
    Return the set as it may judge with a model: a score of another model's space means nothing to a threshold.

    `models`: the model's digest, and that of the bundle it is an engine of. Stale policies follow their
    `on_model_change`: `shadow` makes them shadows, under a digest of their own, and leaves those out whose head is
    another model's: there is nothing that they could say. Raises `PolicyError` that names every
    stale policy of kind `refuse`.
    """
    stale = stale_policies(policy_set, models)
    refusing = [policy.id for policy in stale if policy.on_model_change is OnModelChange.REFUSE]
    if refusing:
        raise PolicyError(
            f"fitted for another model than this one: {', '.join(refusing)}; fit their thresholds again "
            "(`watchword models compare` shows what changes), or let them say `on_model_change: shadow`"
        )
    if not stale:
        return policy_set
    ids = {policy.id for policy in stale}
    dumb = {policy.id for policy in stale if policy.head is not None and policy.head.model not in models}
    kept = [policy for policy in policy_set.policies if not {policy.id, policy.parent} & dumb]
    return compose([_shadowed(policy) if policy.id in ids else policy for policy in kept], policy_set.background)


def _shadowed(policy: Policy) -> Policy:
    if policy.mode is not Mode.ENFORCE:
        return policy
    return replace(policy, mode=Mode.SHADOW, digest=digest_of([policy.digest, Mode.SHADOW.value]))
