"""Subject of a calibration: a policy whose threshold is to be fitted, and the target of the fit."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import UsageError
from pipeline.events.policies import Policy, PromptBank
from pipeline.operations.workbench import Workbench
from pipeline.policies.calibration_file import CalibrationFile, Evidence, prompts_digest
from pipeline.policies.compile import policy_named
from pipeline.policies.folder import PolicyFolder
from pipeline.policies.schema import Target


@dataclass(frozen=True, slots=True)
class FitSubject:
    """A policy, or a child of one, the bank that scores it, and the target of its threshold."""

    policy: Policy
    bank: PromptBank
    target: Target

    @classmethod
    def of(cls, workbench: Workbench, policies: PolicyFolder, policy_id: str) -> "FitSubject":
        """
        Return the subject with this id. Raises `UsageError` when there is none, or when its threshold is a number.
        """
        policy_set = policies.scores_only()
        policy = policy_named(policy_set, policy_id)
        target = target_of(policies, policy_id)
        return cls(policy, workbench.bank(policy_set), target)

    @property
    def index(self) -> int:
        """The policy's column in the scores of the bank's set."""
        return self.bank.policy_set.policies.index(self.policy)

    @property
    def prompts_digest(self) -> str:
        """Digest of everything that determines the policy's score of an embedding."""
        return prompts_digest(self.policy, self.bank.policy_set.background)

    def calibration(self, threshold: float, evidence: Evidence, *, data: str, data_file: str | None) -> CalibrationFile:
        """Return the calibration for a fitted threshold, without a probability curve."""
        queue = self.target.queue
        return CalibrationFile(
            policy=self.policy.id,
            threshold=threshold,
            precision=self.target.precision,
            confidence=self.target.confidence if queue is None else None,
            queue=queue,
            evidence=evidence,
            probability=None,
            prompts=self.prompts_digest,
            model=self.bank.model_digest,
            data=data,
            data_file=data_file,
            fitted_at=datetime.now(UTC).replace(microsecond=0),
        )


def target_of(policies: PolicyFolder, policy_id: str) -> Target:
    """Return the target of a threshold. Raises `UsageError` when the threshold is a number."""
    target = policies.threshold_of(policy_id).target
    if target is None:
        raise UsageError(
            f"the threshold of `{policy_id}` is a number; write a target instead, "
            "`threshold: { precision: 0.95 }` or `threshold: { queue: 200/day }`"
        )
    return target
