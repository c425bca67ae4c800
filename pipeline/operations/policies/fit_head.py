"""Fit of a linear score on embeddings, written next to the policy."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.digests import file_digest
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledImage, labels_file, read_stream
from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.linear_head import FittedHead, fit_head
from pipeline.evaluation.stats.near_duplicates import clusters_of, difference_hash
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import Policy, PromptBank
from pipeline.ingest.folder import read_events
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.policies.schema import HeadFile

Labelled = list[tuple[LabelledImage, Verdict]]


@dataclass(frozen=True, slots=True)
class HeadFit:
    """
    A fitted head.

    `average_precision` is measured by cross-validation, on labels that the head was not fitted on; `current` is the
    average precision of the policy's present score. `positives` of the `images` should be flagged.
    """

    policy: Policy
    path: Path
    average_precision: float
    current: float
    positives: int
    images: int


def fit_policy_head(
    workbench: Workbench, folder: Path, policy_id: str, labels: Path, split: str | None = None
) -> HeadFit:
    """Fit a head to a policy's labels and write it to the `heads` folder. Raises `UsageError`."""
    table, policy_set = labels_file(labels), load_policy_set(folder)
    ids = [policy.id for policy in policy_set.policies]
    if policy_id not in ids:
        raise UsageError(f"no policy `{policy_id}` is on; write it with prompts first, to have a score to compare with")
    index, bank = ids.index(policy_id), workbench.bank(policy_set)
    labelled = _judged(workbench, bank, table, split, index)
    positive = np.array([policy_id in image.right for image, _ in labelled], dtype=bool)
    head = _fitted(labelled, positive)
    return HeadFit(
        policy=policy_set.policies[index],
        path=_head_file(head, bank.model_digest, file_digest(table)).save(folder, policy_id),
        average_precision=head.average_precision,
        current=average_precision(np.array([verdict.scores[index] for _, verdict in labelled]), positive),
        positives=int(positive.sum()),
        images=len(positive),
    )


def _judged(workbench: Workbench, bank: PromptBank, table: Path, split: str | None, index: int) -> Labelled:
    """Return the labelled images in the scope of a policy with their verdicts."""
    images = read_stream(table, split).images
    outcomes = workbench.outcomes(bank, [image.event for image in images], read_events)
    labelled = [
        (image, outcome)
        for image, outcome in zip(images, outcomes, strict=True)
        if isinstance(outcome, Verdict) and outcome.in_scope[index]
    ]
    if not labelled:
        raise UsageError("no image of the stream can be judged")
    return labelled


def _fitted(labelled: Labelled, positive: NDArray[np.bool_]) -> FittedHead:
    embeddings = np.stack([verdict.embedding for _, verdict in labelled]).astype(np.float32)
    hashes = [difference_hash(verdict.image.picture.pixels) for _, verdict in labelled]
    return fit_head(embeddings, positive, clusters_of([image.cluster for image, _ in labelled], hashes))


def _head_file(head: FittedHead, model_digest: str, data_digest: str) -> HeadFile:
    return HeadFile(
        weights=[float(np.float32(weight)) for weight in head.weights],
        bias=head.bias,
        model=model_digest,
        data=data_digest,
        average_precision=head.average_precision,
    )
