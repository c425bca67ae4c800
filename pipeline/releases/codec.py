"""JSON form of a policy set on the control topic, checked against its digest when it is read."""

from pydantic import TypeAdapter, ValidationError

from pipeline.bounded import brief, json_values
from pipeline.errors import PolicyError
from pipeline.events.policies import Policy, PolicySet
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.validation_errors import first_error
from pipeline.releases.stored import require_sound

# Larger than any record that the control topic admits.
MOST_BYTES = 16 << 20
MOST_VALUES = 600_000
_SET: TypeAdapter[PolicySet] = TypeAdapter(PolicySet)


def encode_set(policy_set: PolicySet) -> bytes:
    """Return the set as JSON."""
    return _SET.dump_json(policy_set)


def decode_set(value: bytes, digest: str) -> PolicySet:
    """
    Return the set that is stored under `digest`.

    Raises `PolicyError` when the decoded set has another digest (the record is damaged, or a later version of the
    policy language wrote it), or when it breaks a rule of policy files.
    """
    name = brief(digest[:12])
    try:
        return _decoded(value, digest)
    except PolicyError as error:
        raise PolicyError(f"policy set {name} {error}") from error
    except ValidationError as error:
        raise PolicyError(f"policy set {name} cannot be read: {first_error(error)}") from error
    except Exception as error:  # a record may hold anything, and must not crash its reader
        raise PolicyError(f"policy set {name} cannot be read: {type(error).__name__}: {brief(error)}") from error


def _decoded(value: bytes, digest: str) -> PolicySet:
    if len(value) > MOST_BYTES:
        raise PolicyError(f"cannot be read: more than {MOST_BYTES:,} bytes")
    if json_values(value) > MOST_VALUES:
        raise PolicyError(f"cannot be read: more than {MOST_VALUES:,} values")
    stored = _SET.validate_json(value)
    require_sound(stored)
    children: dict[str, list[Policy]] = {}
    for policy in stored.policies:
        if policy.parent is not None:
            children.setdefault(policy.parent, []).append(with_digest(policy))
    policies = [with_digest(policy, children.get(policy.id, ())) for policy in stored.policies]
    found = compose(policies, stored.background)
    if found.digest != digest:
        raise PolicyError(
            f"means something else here ({found.digest[:12]}): "
            "it was published by another version of watchword, upgrade this one"
        )
    return found
