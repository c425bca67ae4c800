"""Health and readiness of a worker, from its start on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.stream.policy_watcher import PolicyWatcher
from pipeline.stream.probe_gate import ProbeGate
from pipeline.stream.watches import BrokerWatch
from pipeline.stream.worker import Worker

# A part that has not answered for this long is not ready, nor is a stream without a commit.
READY_S = 10.0


class Encoder(Protocol):
    """An encoder that reports whether its last request succeeded and, if not, the problem."""

    @property
    def answering(self) -> bool: ...

    @property
    def problem(self) -> str: ...


@dataclass
class Status:
    """The parts of a worker, set as they are created. A part that does not exist yet is alive, but not ready."""

    encoder: Encoder | None = None
    policies: PolicyWatcher | None = None
    worker: Worker | None = None
    broker: BrokerWatch | None = None
    gate: ProbeGate | None = None

    def alive(self) -> Mapping[str, object]:
        """Return the checks of `/healthz`, false if only a restart can help."""
        worker, policies = self.worker, self.policies
        return {
            "loop": worker is None or worker.ticking(),
            "chunks": worker is None or not worker.stuck(),
            "policies": policies is None or policies.watching(),
        }

    def ready(self) -> Mapping[str, object]:
        """Return the checks of `/readyz`, false if they keep records from being judged, and the reason."""
        worker, encoder, broker = self.worker, self.encoder, self.broker
        checks: dict[str, object] = {
            "assigned": worker is not None and worker.assigned,
            "model": encoder is not None and encoder.answering,
            "policies": self.policies is not None and self.policies.loaded,
            "probes": self.gate is not None and self.gate.open,
            "broker": broker is not None and broker.silent_s() < READY_S,
            "topics": broker is not None and not broker.missing,
            "progress": worker is not None and worker.stalled_s() < READY_S,
        }
        return {**checks, **self._problems()}

    def _problems(self) -> dict[str, str]:
        problems = {}
        if self.encoder is not None and not self.encoder.answering:
            problems["model_problem"] = self.encoder.problem
        if self.gate is not None and not self.gate.open:
            problems["probes_problem"] = self.gate.problem
        if self.broker is not None and self.broker.missing:
            problems["topics_missing"] = ", ".join(sorted(self.broker.missing))
        if self.worker is not None and self.worker.last_abort:
            problems["last_abort"] = self.worker.last_abort
        return problems
