"""Metrics of committed outcomes: verdicts, flags, scores, drift and dead letters."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import Mode
from pipeline.stream.active_set import CANARY, CURRENT
from pipeline.stream.drift import DriftMonitor
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import PolicyLabels


class OutcomeMetrics:
    """Counts outcomes once their chunk is committed. Called by one thread."""

    def __init__(self, metrics: Metrics, labels: PolicyLabels, drift: DriftMonitor) -> None:
        self._metrics, self._labels, self._drift = metrics, labels, drift

    def count(self, verdicts: Sequence[Verdict], roles: Sequence[str], dead_letters: Sequence[DeadLetter]) -> None:
        """Count the outcomes of one chunk; `roles` says by which set, current or canary, each verdict was made."""
        now = datetime.now(UTC)
        for letter in dead_letters:
            self._metrics.dead_letters.labels(letter.reason.value).inc()
        for verdict in verdicts:
            self._observe_latency(verdict, now)
        for role in (CURRENT, CANARY):
            made = [verdict for verdict, made_by in zip(verdicts, roles, strict=True) if made_by == role]
            if made:
                self._count_policies(role, made)

    def measure_drift(self) -> None:
        """Set the gauges of drift."""
        drift = self._drift.score_drift()
        self._metrics.score_drift.clear()
        for policy, index in drift.items():
            self._metrics.score_drift.labels(self._labels.of(policy)).set(np.nan if index is None else index)
        embeddings = self._drift.embedding_drift()
        self._metrics.embedding_drift.set(np.nan if embeddings is None else embeddings)

    def _observe_latency(self, verdict: Verdict, now: datetime) -> None:
        event = verdict.image.event
        if event.time is not None:
            exemplar = {"trace_id": event.traceparent.split("-")[1]} if event.traceparent else None
            self._metrics.latency_seconds.observe(max(0.0, (now - event.time).total_seconds()), exemplar)

    def _count_policies(self, role: str, verdicts: Sequence[Verdict]) -> None:
        """Count the answers of each policy in verdicts by one policy set."""
        self._metrics.verdicts.labels(role).inc(len(verdicts))
        policies = verdicts[0].policy_set.policies
        scores = np.stack([verdict.scores for verdict in verdicts])
        in_scope = np.stack([verdict.in_scope for verdict in verdicts])
        flags = np.stack([verdict.flagged for verdict in verdicts]).sum(axis=0)
        today = verdicts[-1].time.date()
        for index, policy in enumerate(policies):
            label = self._labels.of(policy.id)
            if role == CURRENT:
                self._metrics.scores.observe(label, scores[in_scope[:, index], index])
            if flags[index]:
                mode = Mode.SHADOW if policy.expired(today) else policy.mode
                self._metrics.flags.labels(label, mode.value, role).inc(int(flags[index]))
        if role == CURRENT:
            embeddings = np.stack([verdict.embedding for verdict in verdicts])
            self._drift.add(policies, verdicts[0].model_digest, scores, in_scope, embeddings)
