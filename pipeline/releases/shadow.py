"""Shadow sets: a second policy set that workers score and count next to the live one, without flags."""

from dataclasses import replace

from pipeline.errors import PolicyError
from pipeline.events.policies import Mode, Policy, PolicySet
from pipeline.policies.compile import compose, with_digest

# Policy files cannot have such an id, so a shadow never has the id of another policy.
SUFFIX = "~shadow"


def with_shadow(live: PolicySet, shadow: PolicySet) -> PolicySet:
    """
    Add the policies of `shadow` that differ from those of `live` as shadows, under ids with `SUFFIX`.

    They replace earlier shadows. Raises `PolicyError` when no policy differs, or when the backgrounds differ: all
    scores are one matrix product, which has one background.
    """
    if live.background != shadow.background:
        raise PolicyError(
            "the shadow set has another background than the active set, and every score is measured against one "
            "background; publish it as a canary instead (`--canary 10%`)"
        )
    both = merge_as_shadows(live, shadow)
    if both.digest == without_shadows(live).digest:
        raise PolicyError("nothing to shadow: every policy has the same meaning as in the active set")
    return both


def merge_as_shadows(live: PolicySet, shadow: PolicySet) -> PolicySet:
    """Add the policies of `shadow` that differ from `live` as shadows, scored against the background of `live`."""
    kept = without_shadows(live)
    known = {policy.digest for policy in kept.policies}
    families = {policy.id for policy in shadow.policies if policy.parent is None and policy.digest not in known}
    differing = [policy for policy in shadow.policies if (policy.parent or policy.id) in families]
    return compose([*kept.policies, *_shadows(differing)], live.background)


def without_shadows(policy_set: PolicySet) -> PolicySet:
    """Return the set without the shadows that `with_shadow` added."""
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
