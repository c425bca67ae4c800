"""Policies from a folder."""

from pathlib import Path

from pipeline.events.policies import PolicySet
from pipeline.policies.load import load_policy_set


def load_policies(folder: str | Path) -> PolicySet:
    """Return the policy set of a folder. Raises `PolicyError` with the file, line and column of each mistake."""
    return load_policy_set(Path(folder))
