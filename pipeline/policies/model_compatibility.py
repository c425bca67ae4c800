"""Compatibility of a policy set with a model: policies with thresholds fitted for another model are stale."""

from collections.abc import Collection
from dataclasses import replace

from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, OnModelChange, Policy, PolicySet
from pipeline.policies.compile import compose, digest_of


def stale_policies(policy_set: PolicySet, models: Collection[str]) -> tuple[Policy, ...]:
    """Return the policies whose threshold or head names a model that is not among `models`."""
    return tuple(
        policy
        for policy in policy_set.policies
        if any(model not in models for model in (policy.model, policy.head and policy.head.model) if model is not None)
    )


def for_model(policy_set: PolicySet, models: Collection[str]) -> PolicySet:
    """
    Return the policy set for a model, with stale policies as their `on_model_change` says.

    A threshold is meaningless for the scores of another model. `models` has the digests of the model and, if it is an
    engine, of its parent. With `shadow`, a stale policy becomes a shadow with a separate digest. It is removed if its
    head was fitted for another model, because it cannot be scored. Raises `PolicyError` with the ids of the stale
    policies with `refuse`.
    """
    stale = stale_policies(policy_set, models)
    refusing = [policy.id for policy in stale if policy.on_model_change is OnModelChange.REFUSE]
    if refusing:
        raise PolicyError(
            f"fitted for another model than this one: {', '.join(refusing)}; fit their thresholds again "
            "(`watchword models compare` shows what changes), or set their `on_model_change: shadow`"
        )
    if not stale:
        return policy_set
    ids = {policy.id for policy in stale}
    unscored = {policy.id for policy in stale if policy.head is not None and policy.head.model not in models}
    kept = [policy for policy in policy_set.policies if not {policy.id, policy.parent} & unscored]
    return compose([_shadowed(policy) if policy.id in ids else policy for policy in kept], policy_set.background)


def _shadowed(policy: Policy) -> Policy:
    if policy.mode is not Mode.ENFORCE:
        return policy
    return replace(policy, mode=Mode.SHADOW, digest=digest_of([policy.digest, Mode.SHADOW.value]))
