"""Differences between two policy sets."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pipeline.events.policies import Background, Policy, PolicySet

# Fields without a line in the diff: the id is its heading, and the digest changes with every other field.
_SKIPPED = frozenset({"id", "digest"})
BACKGROUND = "(background)"


@dataclass(frozen=True, slots=True)
class PolicyDiff:
    """Change of one policy or of the background. `details`: one line for each field or text that differs."""

    policy_id: str
    kind: Literal["added", "removed", "changed"]
    details: tuple[str, ...] = ()


def policy_diffs(before: PolicySet | None, after: PolicySet) -> list[PolicyDiff]:
    """Return the differences between two sets, by policy id. Without `before` every policy is new."""
    old = {policy.id: policy for policy in before.policies} if before else {}
    new = {policy.id: policy for policy in after.policies}
    found: list[PolicyDiff] = []
    for policy_id in sorted(old.keys() | new.keys()):
        if policy_id not in new:
            found.append(PolicyDiff(policy_id, "removed"))
        elif policy_id not in old:
            found.append(PolicyDiff(policy_id, "added", tuple(_summary(new[policy_id]))))
        elif details := tuple(_fields(old[policy_id], new[policy_id])):
            found.append(PolicyDiff(policy_id, "changed", details))
    if before is not None and (details := tuple(_fields(before.background, after.background))):
        found.append(PolicyDiff(BACKGROUND, "changed", details))
    return found


def _summary(policy: Policy) -> Iterator[str]:
    """Yield the main fields of a new policy."""
    yield f"mode {policy.mode.value}, severity {policy.severity.value}, action {policy.action}"
    yield f"threshold {_shown(policy.threshold)}{' (provisional)' if policy.provisional else ''}"
    yield from (f"+ prompts: {prompt}" for prompt in policy.prompts)


def _fields(old: Policy | Background, new: Policy | Background) -> Iterator[str]:
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name in _SKIPPED or before == after:
            continue
        if isinstance(before, tuple) and isinstance(after, tuple):
            yield from (f"- {field.name}: {_shown(value)}" for value in before if value not in after)
            yield from (f"+ {field.name}: {_shown(value)}" for value in after if value not in before)
        else:
            yield f"{field.name}: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " = ".join(map(_shown, value))
    return "nothing" if value is None or value == "" else str(value)
