"""Labels for a calibration, from a labelled stream or from decisions about archived images."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.digests import file_digest
from pipeline.errors import UsageError
from pipeline.evaluation.calibration.labels import decided_labels, labels_of
from pipeline.evaluation.datasets.labelled_stream import POLICY_LABELS, LabelledStream, labels_file, read_stream
from pipeline.evaluation.replay.outcomes import collect
from pipeline.evaluation.stats.certification import Labels
from pipeline.evaluation.stats.near_duplicates import difference_hash
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.ingest.folder import read_events
from pipeline.judge.score import Judge
from pipeline.operations.decisions.archived import read_decided
from pipeline.operations.policies.fit_subject import FitSubject
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Labels, the digest of the data they were read from, and its file, None for decisions."""

    labels: Labels
    digest: str
    file: Path | None


def labels_from_file(
    workbench: Workbench, subject: FitSubject, path: Path, split: str | None, base_rate: float | None
) -> LabelSource:
    """Judge a labelled stream and return its labels. Raises `UsageError`."""
    table = labels_file(path)
    labels = _stream_labels(workbench, subject, read_stream(table, split), base_rate)
    return LabelSource(labels, file_digest(table), table)


def labels_from_decisions(workbench: Workbench, subject: FitSubject, base_rate: float | None) -> LabelSource:
    """Return the decisions about the policy as labels, scored by archived embeddings. Raises `UsageError`."""
    decided = read_decided(workbench, subject.bank.model_digest, {subject.policy.id})
    lines = "\n".join(each.decision.model_dump_json() for each in decided)
    labels = decided_labels(decided, Judge(subject.bank), subject.policy.id, base_rate)
    return LabelSource(labels, hashlib.sha256(lines.encode()).hexdigest(), None)


@dataclass
class _Hashes:
    """Difference hashes of the images that could be judged, collected as their verdicts pass."""

    found: list[NDArray[np.bool_]] = field(default_factory=list)

    def passing(self, outcomes: Iterator[Verdict | DeadLetter]) -> Iterator[Verdict | DeadLetter]:
        for outcome in outcomes:
            if isinstance(outcome, Verdict):
                self.found.append(difference_hash(outcome.image.picture.pixels))
            yield outcome


def _stream_labels(
    workbench: Workbench, subject: FitSubject, stream: LabelledStream, base_rate: float | None
) -> Labels:
    if subject.policy.id not in stream.policies:
        raise UsageError(f"the labels do not mention `{subject.policy.id}`; see `policies`, or {POLICY_LABELS}")
    hashes = _Hashes()
    outcomes = workbench.outcomes(subject.bank, [image.event for image in stream.images], read_events)
    replayed = collect(stream, hashes.passing(outcomes))
    index = [policy.id for policy in replayed.policies].index(subject.policy.id)
    return labels_of(replayed, index, hashes.found, base_rate)
