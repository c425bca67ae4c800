"""Promotion of a shadow: the shadows of a policy set, and the edit of a policy's file that enforces it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.events.policies import Mode, Policy, PolicySet
from pipeline.policies.compile import compose
from pipeline.policies.folder import ParsedPolicy, PolicyFolder
from pipeline.releases.shadow import SUFFIX, merge_as_shadows


@dataclass(frozen=True, slots=True)
class ShadowPair:
    """A shadow, and the live policy to compare it with; None if there is no such policy."""

    shadow: Policy
    live: Policy | None


def shadow_pairs(policy_set: PolicySet, policy_id: str | None = None, against: str | None = None) -> list[ShadowPair]:
    """
    Return each shadow of a set, or only that of one policy, with its live policy.

    `against`: id of another live policy to compare with. Raises `UsageError` when the set lacks it.
    """
    known = {policy.id: policy for policy in policy_set.policies}
    if against is not None and against not in known:
        raise UsageError(f"`--against {against}`: no such policy is active")
    pairs = []
    for policy in policy_set.policies:
        if policy.mode is not Mode.SHADOW or policy.parent is not None:
            continue
        if policy_id is not None and policy.id not in (policy_id, policy_id + SUFFIX):
            continue
        live = known[against] if against else known.get(policy.id.removesuffix(SUFFIX))
        pairs.append(ShadowPair(policy, live if live is not policy else None))
    return pairs


def require_same(pairs: Sequence[ShadowPair], folder_set: PolicySet) -> None:
    """Raise `UsageError` unless each shadow that judged has the same digest in the folder."""
    shadows = merge_as_shadows(compose([], folder_set.background), folder_set).policies
    known = {policy.id: policy.digest for policy in (*folder_set.policies, *shadows)}
    for pair in pairs:
        if known.get(pair.shadow.id) != pair.shadow.digest:
            raise UsageError(
                f"`{pair.shadow.id}` in the folder is another policy than the shadow that judged; let the edited one "
                "run in shadow first, or publish it as it is (`watchword policies publish`)"
            )


def policy_file(policies: PolicyFolder, policy_id: str) -> ParsedPolicy:
    """Return the file of a policy. Raises `UsageError` when the folder has no such policy."""
    for each in policies.written:
        if each.file.id == policy_id:
            return each
    raise UsageError(f"the folder has no policy `{policy_id}`")


def write_enforce(policy: ParsedPolicy) -> None:
    """
    Write `mode: enforce` into a policy's file; every other character of the file stays.

    Raises `UsageError` when another file, which the policy extends, sets the mode.
    """
    document, node_path = policy.resolved.written_at(("mode",))
    if "mode" not in policy.resolved.content:
        document.path.write_text(f"{document.text.rstrip()}\nmode: {Mode.ENFORCE.value}\n")
        return
    if document.path != policy.resolved.document.path:
        raise UsageError(
            f"`mode` of `{policy.file.id}` is set by {document.path}; write `mode: enforce` into the policy's file"
        )
    lines = document.text.splitlines(keepends=True)
    index = document.position(node_path).line - 1
    lines[index] = re.sub(r"\bshadow\b", Mode.ENFORCE.value, lines[index], count=1)
    document.path.write_text("".join(lines))
