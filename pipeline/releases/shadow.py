"""A whole policy set beside the one in force: scored and counted, flagging nothing."""

from dataclasses import replace

from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, Policy, PolicySet
from pipeline.policies.compile import compose, with_digest

# No id of a file has this in it, so a shadow is never mistaken for the policy it shadows.
SUFFIX = "~shadow"


def with_shadow(live: PolicySet, shadow: PolicySet) -> PolicySet:
    """
    Return `live` with the policies of `shadow` that differ from its own as shadows, under ids with `SUFFIX`.

    Shadows that were there before give way. Raises `PolicyError` when nothing differs, or when the backgrounds do:
    scores are measured against one background, so that all of them are one matrix product.
    """
    if live.background != shadow.background:
        raise PolicyError(
            "the shadow set has another background than the one in force, which every score is measured against; "
            "publish it as a canary instead (`--canary 10%`)"
        )
    both = merge_as_shadows(live, shadow)
    if both.digest == without_shadows(live).digest:
        raise PolicyError("nothing to shadow: every policy means what the one in force does")
    return both


def merge_as_shadows(live: PolicySet, shadow: PolicySet) -> PolicySet:
    """Return `live` with what differs in `shadow` as shadows, measured against the background of `live`."""
    kept = without_shadows(live)
    known = {policy.digest for policy in kept.policies}
    families = {policy.id for policy in shadow.policies if policy.parent is None and policy.digest not in known}
    differing = [policy for policy in shadow.policies if (policy.parent or policy.id) in families]
    return compose([*kept.policies, *_shadows(differing)], live.background)


def without_shadows(policy_set: PolicySet) -> PolicySet:
    """Return the set without the shadows that `beside` put there."""
    return compose([policy for policy in policy_set.policies if not policy.id.endswith(SUFFIX)], policy_set.background)


def _shadows(policies: list[Policy]) -> list[Policy]:
    renamed = [
        replace(policy, id=policy.id + SUFFIX, parent=policy.parent and policy.parent + SUFFIX, mode=Mode.SHADOW)
        for policy in policies
    ]
    children = [with_digest(policy) for policy in renamed if policy.parent is not None]
    own = [
        with_digest(policy, [child for child in children if child.parent == policy.id])
        for policy in renamed
        if policy.parent is None
    ]
    return own + children
