"""Stratified sampling of unflagged images for human audit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.events.outcomes import Verdict
from pipeline.events.policies import PolicySet
from pipeline.events.releases import in_sample

DAY_S = 86_400.0
# Strata by distance of a score below its threshold, in units of the score: most misses are near, most images far.
BOUNDS = (1.0, 2.0, 4.0, 8.0)
# Time constant of the exponential average of the image rate, so that the sample follows the hours of a day.
MEMORY_S = 6 * 3600.0
# The shortest time over which the image rate is estimated.
MINIMUM_S = 60.0
PURPOSE = "audit"


class AuditSampler:
    """
    Samples, for every policy with an `audit`, about that many images a day among those under its threshold.

    The strata of a policy get equal parts, so that near misses are sampled more often than distant images. An image is
    drawn at most once, with the largest of its policies' probabilities, which the verdict keeps. An audited image
    represents 1 ÷ this probability images. `sample` is called by one thread; `set_share` by any.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._share = 1.0
        self._policy_set: PolicySet | None = None
        self._started = self._seen_at = clock()
        self._counts = np.zeros((0, len(BOUNDS) + 1))

    def set_share(self, share: float) -> None:
        """Set the share of the stream, 0 to 1, that this worker sees."""
        self._share = share

    def sample(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Return the verdicts of one chunk by one policy set, the sampled ones with their probability."""
        audited = [
            index
            for index, policy in enumerate(verdicts[0].policy_set.policies if verdicts else ())
            if policy.audit_per_day is not None
        ]
        if not audited:
            return list(verdicts)
        policies = [verdicts[0].policy_set.policies[index] for index in audited]
        self._begin(verdicts[0].policy_set, len(audited))
        thresholds = np.array([policy.threshold for policy in policies])
        under = thresholds - np.stack([verdict.scores for verdict in verdicts])[:, audited]
        answered = np.stack([verdict.in_scope & ~verdict.flagged for verdict in verdicts])[:, audited]
        strata = np.searchsorted(BOUNDS, under, side="right")
        self._count(strata, answered)
        chances = self._chances(np.array([float(policy.audit_per_day or 0) for policy in policies]))
        per_image = np.where(answered, chances[np.arange(len(audited)), strata], 0.0).max(axis=1)
        return [_sampled(verdict, float(chance)) for verdict, chance in zip(verdicts, per_image, strict=True)]

    def _begin(self, policy_set: PolicySet, audited: int) -> None:
        if self._policy_set is not policy_set:
            self._policy_set = policy_set
            self._started = self._seen_at = self._clock()
            self._counts = np.zeros((audited, len(BOUNDS) + 1))

    def _count(self, strata: NDArray[np.intp], answered: NDArray[np.bool_]) -> None:
        now = self._clock()
        self._counts *= math.exp(-(now - self._seen_at) / MEMORY_S)
        self._seen_at = now
        for stratum in range(len(BOUNDS) + 1):
            self._counts[:, stratum] += ((strata == stratum) & answered).sum(axis=0)

    def _chances(self, per_day: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each policy's strata, float64 [P, S]."""
        watched_s = max(MINIMUM_S, MEMORY_S * (1 - math.exp(-(self._seen_at - self._started) / MEMORY_S)))
        a_day = self._counts / watched_s * DAY_S
        wanted = per_day * self._share
        strata = np.maximum(1, (a_day > 0).sum(axis=1))
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(1.0, (wanted / strata)[:, None] / a_day))


def _sampled(verdict: Verdict, chance: float) -> Verdict:
    event = verdict.image.event
    return replace(verdict, audit=chance) if in_sample(chance, event.source, event.id, PURPOSE) else verdict
