"""Judges of policy sets, built and probed before any of them is active."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime

import numpy as np
import structlog

from pipeline.encode.ports import TextEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import PolicyError, ScoreFault, WatchwordError
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.model_compatibility import for_model, stale_policies
from pipeline.releases.sources import PolicySetUpdate
from pipeline.stream.active_set import ActiveJudges

log = structlog.get_logger()


class JudgeBuilder:
    """
    Builds the judges of a policy set for one model.

    `models` are the digests of the model and of those that it is an engine of. Policies that were fitted for another
    one follow their `on_model_change`. `require_set` raises `DependencyFault` for a judge that golden probes refuse.
    """

    def __init__(
        self, encoder: TextEncoder, models: Collection[str], require_set: Callable[[Judge], None] = lambda _: None
    ) -> None:
        self._encoder, self._models, self._require_set = encoder, models, require_set

    def build(self, update: PolicySetUpdate) -> ActiveJudges:
        """
        Return the judges of an update.

        Raises `PolicyError` for a set that cannot judge, and `DependencyFault` when the encoder does not answer.
        """
        try:
            canary = self._judge(update.canary) if update.canary else None
            return ActiveJudges(self._judge(update.policy_set), update.version, canary, update.canary_share)
        except WatchwordError:
            raise
        except Exception as error:  # a set that passed every check and breaks the judge is rejected like any other
            raise PolicyError(f"the set cannot be used: {type(error).__name__}: {error}") from error

    def stale(self, policy_set: PolicySet) -> Collection[str]:
        """Return the ids of policies whose threshold was fitted for another model, other prompts or other labels."""
        stale = {policy.id for policy in stale_policies(policy_set, self._models)}
        return stale | _stale_calibrations(policy_set).keys()

    def _judge(self, policy_set: PolicySet) -> Judge:
        adapted = for_model(policy_set, self._models)
        if other := [policy.id for policy in stale_policies(policy_set, self._models)]:
            log.warning("policies_shadowed", policies=other, reason="fitted for another model: fit them again")
        if changed := _stale_calibrations(adapted):
            log.warning("calibrations_stale", policies=changed, consequence="provisional until fitted again")
        today = datetime.now(UTC).date()
        if expired := [policy.id for policy in adapted.policies if policy.expired(today)]:
            log.warning("policies_expired", policies=expired, consequence="scored and counted, they flag nothing")
        judge = Judge(build_prompt_bank(adapted, self._encoder))
        _probe(judge)
        self._require_set(judge)
        return judge


def _stale_calibrations(policy_set: PolicySet) -> dict[str, tuple[str, ...]]:
    return {p.id: p.calibration.stale for p in policy_set.policies if p.calibration and p.calibration.stale}


def _probe(judge: Judge) -> None:
    """Judge one constant embedding, so that a set that cannot judge never becomes active. Raises `PolicyError`."""
    dimension = judge.bank.vectors.shape[1]
    probe = np.full((1, dimension), 1 / np.sqrt(dimension), dtype=np.float16)
    try:
        judge.judge(probe)
    except ScoreFault as fault:
        raise PolicyError(f"the set cannot judge: {fault}") from fault
