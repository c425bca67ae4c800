"""Recall of policies, from their flags and an audit of images that they did not flag."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import read_stream
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.evaluation.stats.recall import Recall, estimate_recall
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import read_events
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class PolicyRecall:
    """Recall of one policy; `audited` counts the labelled images in its scope that it did not flag."""

    policy_id: str
    audited: int
    recall: Recall


def measure_recall(
    workbench: Workbench, policy_set: PolicySet, labels: Path, split: str | None = None
) -> list[PolicyRecall]:
    """
    Judge a labelled stream, and estimate the recall of each policy that its labels name.

    Raises `UsageError` when an image that was not flagged has no `probability`.
    """
    stream = read_stream(labels, split)
    events = [image.event for image in stream.images]
    replayed = collect(stream, workbench.outcomes(workbench.bank(policy_set), events, read_events))
    probabilities = _probabilities(replayed)
    return [_recall(replayed, index, probabilities) for index in range(len(replayed.policies))]


def _probabilities(replayed: Replayed) -> NDArray[np.float64]:
    probabilities = np.array([image.probability or np.nan for image in replayed.images])
    # The labels have every flagged image, whether or not another policy's audit sampled it too.
    probabilities[replayed.flagged.any(axis=1)] = 1.0
    return probabilities


def _recall(replayed: Replayed, index: int, probabilities: NDArray[np.float64]) -> PolicyRecall:
    flagged, positive, in_scope = (part[:, index] for part in (replayed.flagged, replayed.right, replayed.in_scope))
    audited = in_scope & ~flagged
    if np.isnan(probabilities[audited]).any():
        raise UsageError("images that were not flagged need a `probability`; it is in the `audit` of their verdicts")
    hits = float((flagged & positive & in_scope).sum())
    recall = estimate_recall(hits, probabilities[audited & positive], probabilities[audited])
    return PolicyRecall(replayed.policies[index].id, int(audited.sum()), recall)
