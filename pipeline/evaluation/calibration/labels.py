"""Labels of one policy, weighted for a calibration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.decisions.standing import Decided
from pipeline.evaluation.replay.outcomes import Replayed
from pipeline.evaluation.stats.certification import Labels
from pipeline.evaluation.stats.near_duplicates import clusters_of, read_hash
from pipeline.judge.score import Judge


def labels_of(replayed: Replayed, index: int, hashes: Sequence[NDArray[np.bool_]], base_rate: float | None) -> Labels:
    """
    Return the labels of the policy `index` within its scope, weighted by their sampling probabilities.

    `hashes`: one for each image of `replayed`. A `base_rate`, the share of the stream that should be flagged, replaces
    the probabilities: labels of both answers are then weighted to have that share. Raises `UsageError` when neither is
    known: the precision of a threshold depends on how rare the harm is, and a sample alone does not tell that.
    """
    within = np.flatnonzero(replayed.in_scope[:, index])
    images = [replayed.images[i] for i in within.tolist()]
    clusters = clusters_of([image.cluster for image in images], [hashes[i] for i in within.tolist()])
    probabilities = [image.probability for image in images]
    scores, positive = replayed.scores[within, index], replayed.right[within, index]
    return weighted_labels(scores, positive, clusters, probabilities, base_rate)


def weighted_labels(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    clusters: NDArray[np.intp],
    probabilities: Sequence[float | None],
    base_rate: float | None,
) -> Labels:
    """
    Return labels weighted by the probabilities they were drawn with, or by a `base_rate`.

    `scores`: float64 [N]; `positive`: bool [N]; `clusters`: int [N]. Raises as `labels_of` does.
    """
    if base_rate is not None:
        # The share among different images: near-duplicates of one answer would shift the share among all labels.
        first = np.unique(clusters, return_index=True)[1]
        weights = _weights_by_answer(positive, positive[first], base_rate)
    elif all(probability is not None for probability in probabilities):
        weights = 1 / np.array(probabilities, dtype=np.float64)
    else:
        raise UsageError(
            "the labels do not say how they were sampled: give each its `probability`, or declare with `--base-rate` "
            "which share of the stream should be flagged; a threshold with precision 0.95 on labels of which half are "
            "positive has precision 0.02 on a stream where one image in a thousand is"
        )
    return Labels(scores, positive, weights, clusters, by_answer=base_rate is not None)


def decided_labels(given: Sequence[Decided], judge: Judge, policy_id: str, base_rate: float | None) -> Labels:
    """
    Return the labels of one policy from decisions about images in its scope, in the order they were made.

    Raises `UsageError` when there are none, and as `weighted_labels` does.
    """
    policies = judge.bank.policy_set.policies
    index = next(i for i, policy in enumerate(policies) if policy.id == policy_id)
    scope = policies[index].scope
    within = [
        each
        for each in given
        if each.decision.policy == policy_id and (scope is None or scope.admits(each.decision.source, each.attributes))
    ]
    if not within:
        raise UsageError(f"there are no decisions about `{policy_id}` on images in its scope")
    rulings = [each.decision for each in within]
    clusters = clusters_of(
        [each.content or "\n".join(each.about) for each in rulings],
        [read_hash(each.picture) if each.picture else None for each in rulings],
    )
    scores = judge.judge(np.stack([each.vector for each in within])).raw[:, index]
    positive = np.array([each.ruling.right for each in rulings], dtype=bool)
    return weighted_labels(scores, positive, clusters, [each.probability for each in rulings], base_rate)


def _weights_by_answer(
    positive: NDArray[np.bool_], different: NDArray[np.bool_], base_rate: float
) -> NDArray[np.float64]:
    """Return weights of labels with which the answers about `different` images have a share of `base_rate`."""
    if not 0 < base_rate < 1:
        raise UsageError(f"a base rate is a share of the stream, above 0 and below 1, not {base_rate:g}")
    share = float(different.mean())
    if share in (0.0, 1.0):
        answer = "right" if share else "wrong"
        raise UsageError(f"all {len(positive)} labels are {answer}; a base rate needs both kinds")
    return np.where(positive, base_rate / share, (1 - base_rate) / (1 - share))
