"""A policy set as it is stored under `set/<digest>`: everything it means, and proof that nothing is missing."""

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import PolicyError
from pipeline.events.policies import Policy, PolicySet
from pipeline.judge.policy import compose, digested

_SET: TypeAdapter[PolicySet] = TypeAdapter(PolicySet)


def encode_set(policy_set: PolicySet) -> bytes:
    """Return the set as JSON."""
    return _SET.dump_json(policy_set)


def decode_set(value: bytes, digest: str) -> PolicySet:
    """
    Return the set stored under `digest`.

    Raises `PolicyError` when it is not what the digest names: damaged, or written in a language with more in it than
    this version knows.
    """
    try:
        stored = _SET.validate_json(value)
    except ValidationError as error:
        raise PolicyError(f"policy set {digest[:12]} cannot be read: {error.errors()[0]['msg']}") from error
    children: dict[str, list[Policy]] = {}
    for policy in stored.policies:
        if policy.parent is not None:
            children.setdefault(policy.parent, []).append(digested(policy))
    policies = [digested(policy, children.get(policy.id, ())) for policy in stored.policies]
    found = compose(policies, stored.background)
    if found.digest != digest:
        raise PolicyError(
            f"policy set {digest[:12]} means something else here ({found.digest[:12]}): "
            "it was published by another version of watchword, upgrade this one"
        )
    return found
