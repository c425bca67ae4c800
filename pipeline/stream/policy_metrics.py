"""Metrics of the active policy set: its version, its policies, and their thresholds."""

from collections.abc import Collection
from datetime import UTC, datetime
from importlib.metadata import version

from pipeline.events.policies import Mode, Policy
from pipeline.stream.active_set import CANARY, CURRENT, ActiveJudges
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels


class PolicyMetrics:
    """Records which policy set is active. Called by the thread that watches policies."""

    def __init__(self, metrics: Metrics, labels: PolicyLabels, model_digest: str) -> None:
        self._metrics, self._labels, self._model_digest = metrics, labels, model_digest

    def looked(self) -> None:
        """Note a successful look at the source of policy sets."""
        self._metrics.policy_source_read.set_to_current_time()

    def rejected(self) -> None:
        """Count a policy set that was rejected."""
        self._metrics.policies_refused.inc()

    def activated(self, active: ActiveJudges, stale: Collection[str]) -> None:
        """Record the active set; `stale` are the ids of policies whose threshold was fitted for something else."""
        metrics = self._metrics
        metrics.policies_stale.set(len(stale))
        metrics.policy_version.set(active.version)
        metrics.policy_set_active.set_to_current_time()
        metrics.info.clear()
        for role, judge in ((CURRENT, active.judge), (CANARY, active.canary)):
            if judge is not None:
                digest = judge.bank.policy_set.digest
                metrics.info.labels(version("watchword"), self._model_digest, digest, role).set(1)
        self._record_policies(active.judge.bank.policy_set.policies, stale)

    def _record_policies(self, policies: Collection[Policy], stale: Collection[str]) -> None:
        self._metrics.policy_info.clear()
        self._metrics.policy_threshold.clear()
        today = datetime.now(UTC).date()
        for policy in policies:
            label = self._labels.of(policy.id)
            mode = Mode.SHADOW if policy.expired(today) else policy.mode
            calibration = "stale" if policy.id in stale else "provisional" if policy.provisional else "fitted"
            self._metrics.policy_info.labels(
                label, mode.value, policy.severity.value, policy.owner or "", calibration
            ).set(1)
            self._metrics.policy_threshold.labels(label).set(policy.threshold)
