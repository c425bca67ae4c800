"""Rollback: activation of an earlier policy set as a new version, so that history only grows."""

from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.events.releases import Release
from pipeline.operations.workbench import Workbench
from pipeline.releases.control_topic import ControlTopic, ReleaseRequest
from pipeline.releases.current import CurrentRelease
from pipeline.releases.diff import PolicyDiff, policy_diffs


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """
    A rollback before its activation.

    `version`: the current version; `target`: the release whose set is to be active; `diffs`: its differences from the
    active set; `request`: for `activate`.
    """

    version: int
    target: Release
    diffs: tuple[PolicyDiff, ...]
    request: ReleaseRequest


def prepare_rollback(
    workbench: Workbench, name: str | None = None, *, note: str = "", author: str | None = None
) -> RollbackPlan:
    """
    Plan the return to the release `name`, a version or a digest.

    Without a name, the plan ends a canary, or else returns to the newest release with another set. Raises `UsageError`
    when there is none, `PolicyError` when its set cannot be read, and `BrokerFault`.
    """
    release = CurrentRelease(workbench.settings, workbench.progress)
    target = _target(release.published, name)
    policy_set = release.published.policy_set(target.digest)
    diffs = tuple(policy_diffs(release.active_set(), policy_set))
    request = ReleaseRequest(
        policy_set, release.version, author or workbench.user, note or f"back to version {target.version}"
    )
    return RollbackPlan(release.version, target, diffs, request)


def _target(published: ControlTopic, name: str | None) -> Release:
    current = published.current
    if current is None:
        raise UsageError("nothing is published yet; publish with `watchword policies publish`")
    if name is not None:
        return published.named(name)
    if current.canary is not None:
        return current  # its set without the canary
    for release in published.history():
        if release.version < current.version and release.digest != current.digest:
            return release
    raise UsageError("no earlier set to go back to; `watchword policies history` lists the releases")
