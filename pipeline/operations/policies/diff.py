"""Differences between two policy sets, each given by a name."""

from pipeline.operations.workbench import Workbench
from pipeline.releases.current import resolve_policy_set
from pipeline.releases.diff import PolicyDiff, policy_diffs


def compare_policy_sets(workbench: Workbench, before: str, after: str) -> list[PolicyDiff]:
    """
    Return the differences between two sets, by policy.

    A name is a folder, a version, a digest or the start of one, or `current`. Raises `UsageError`, `PolicyError` and,
    when the control topic is read, `BrokerFault`.
    """
    settings, progress = workbench.settings, workbench.progress
    return policy_diffs(resolve_policy_set(before, settings, progress), resolve_policy_set(after, settings, progress))
