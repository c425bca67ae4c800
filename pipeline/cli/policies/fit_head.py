"""`watchword policies fit-head`: a linear score from labels, written beside the policy."""

from pathlib import Path

import numpy as np

from pipeline.cli.console import output
from pipeline.cli.transition import InProcess
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import labels_file, read_stream
from pipeline.evaluation.stats.average_precision import average_precision
from pipeline.evaluation.stats.near_duplicates import clusters_of, difference_hash
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import Policy, ScoreKind
from pipeline.extras import models_extra
from pipeline.ingest.folder import read_events
from pipeline.policies.calibration_file import file_digest
from pipeline.policies.load import load_policy_set
from pipeline.policies.schema import HeadFile, head_name


def run_fit_head(folder: Path, policy_id: str, labels: Path, split: str | None) -> None:
    """Fit a head to a policy's labels, and say whether it ranks better than the words do."""
    with models_extra("calibrate"):
        from pipeline.evaluation.stats.linear_head import fit_head

    table = labels_file(labels)
    policy_set = load_policy_set(folder)
    place, policy = next(
        ((i, each) for i, each in enumerate(policy_set.policies) if each.id == policy_id), (None, None)
    )
    if place is None or policy is None:
        raise UsageError(f"no policy `{policy_id}` judges; write one by words first, so that there is what to beat")
    stream = read_stream(table, split)
    judged = InProcess(policy_set)
    pairs = [
        (image, outcome)
        for image, outcome in zip(
            stream.images, judged.outcomes([each.event for each in stream.images], read_events), strict=True
        )
        if isinstance(outcome, Verdict) and outcome.in_scope[place]
    ]
    if not pairs:
        raise UsageError("no image of the stream can be judged")
    right = np.array([policy_id in image.right for image, _ in pairs], dtype=bool)
    embeddings = np.stack([verdict.embedding for _, verdict in pairs]).astype(np.float32)
    hashes = [difference_hash(verdict.image.picture.pixels) for _, verdict in pairs]
    clusters = clusters_of([image.cluster for image, _ in pairs], hashes)
    found = fit_head(embeddings, right, clusters)
    words = average_precision(np.array([verdict.scores[place] for _, verdict in pairs]), right)
    file = HeadFile(
        weights=[float(np.float32(weight)) for weight in found.weights],
        bias=found.bias,
        model=judged.bank.model_digest,
        data=file_digest(table),
        average_precision=found.average_precision,
    )
    path = file.save(folder, policy_id)
    _say(policy, path, found.average_precision, words, int(right.sum()), len(right))


def _say(policy: Policy, path: Path, head: float, words: float, right: int, count: int) -> None:
    console = output()
    by = "the head before" if policy.score is ScoreKind.LINEAR else "the words"
    console.print(
        f"`{policy.id}`: average precision {head:.3f} on unseen labels ({right} of {count} right); {by} {words:.3f}"
    )
    if head <= words:
        console.print("the head ranks no better: keep the words, which need no labels and can be read")
    else:
        console.print(f"{path}: write `score: linear` and `head: {head_name(policy.id)}`, and fit the threshold anew")
