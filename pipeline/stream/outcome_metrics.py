"""Metrics of committed outcomes: verdicts, flags, scores and dead letters."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import Mode
from pipeline.stream.active_set import CANARY, CURRENT
from pipeline.telemetry.metrics import Metrics


class OutcomeMetrics:
    """Counts outcomes once their chunk is committed. Called by one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def count(self, verdicts: Sequence[Verdict], roles: Sequence[str], dead_letters: Sequence[DeadLetter]) -> None:
        """Count the outcomes of one chunk; `roles` says by which set, current or canary, each verdict was made."""
        now = datetime.now(UTC)
        for letter in dead_letters:
            self._metrics.dead_letters.labels(letter.reason.value).inc()
        for verdict in verdicts:
            if verdict.image.event.time is not None:
                self._metrics.latency_seconds.observe(max(0.0, (now - verdict.image.event.time).total_seconds()))
        for role in (CURRENT, CANARY):
            made = [verdict for verdict, made_by in zip(verdicts, roles, strict=True) if made_by == role]
            if made:
                self._count_policies(role, made)

    def _count_policies(self, role: str, verdicts: Sequence[Verdict]) -> None:
        """Count the answers of each policy in verdicts by one policy set."""
        self._metrics.verdicts.labels(role).inc(len(verdicts))
        scores = np.stack([verdict.scores for verdict in verdicts])
        in_scope = np.stack([verdict.in_scope for verdict in verdicts])
        flags = np.stack([verdict.flagged for verdict in verdicts]).sum(axis=0)
        today = verdicts[-1].time.date()
        for index, policy in enumerate(verdicts[0].policy_set.policies):
            if role == CURRENT:
                self._metrics.scores.observe(policy.id, scores[in_scope[:, index], index])
            if flags[index]:
                mode = Mode.SHADOW if policy.expired(today) else policy.mode
                self._metrics.flags.labels(policy.id, mode.value, role).inc(int(flags[index]))
