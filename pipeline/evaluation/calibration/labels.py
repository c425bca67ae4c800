"""From a labelled stream to what a threshold is fitted to."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.decisions.standing import Decided
from pipeline.evaluation.replay.outcomes import Replayed
from pipeline.evaluation.stats.certification import Labels
from pipeline.evaluation.stats.near_duplicates import clusters_of, read_hash
from pipeline.judge.score import Judge


def labels_of(replayed: Replayed, place: int, hashes: Sequence[NDArray[np.bool_]], base_rate: float | None) -> Labels:
    """
    Return the labels of one policy within its scope, weighted by what they say of how they were drawn.

    `hashes`: one an image of `replayed`. With a `base_rate`, the share of the stream that is right, right and wrong
    labels weigh so that they have that share. Raises `UsageError` when neither is known: how precise a threshold is
    depends on how rare the harm is, which a sample does not tell by itself.
    """
    within = np.flatnonzero(replayed.in_scope[:, place])
    images = [replayed.images[i] for i in within.tolist()]
    clusters = clusters_of([image.cluster for image in images], [hashes[i] for i in within.tolist()])
    drawn = [image.probability for image in images]
    return weighted_labels(replayed.scores[within, place], replayed.right[within, place], clusters, drawn, base_rate)


def weighted_labels(
    scores: NDArray[np.float64],
    right: NDArray[np.bool_],
    clusters: NDArray[np.intp],
    drawn: Sequence[float | None],
    base_rate: float | None,
) -> Labels:
    """
    Return labels weighted by how they were `drawn`, or by a `base_rate`.

    `scores`: float64 [N]; `right`: bool [N]; `clusters`: int [N]. Raises as `labels_of` does.
    """
    if base_rate is not None:
        # Of different images: if what is wrong has more copies, all labels have another share than those that count.
        first = np.unique(clusters, return_index=True)[1]
        weights = _by_answer(right, right[first], base_rate)
    elif all(probability is not None for probability in drawn):
        weights = 1 / np.array(drawn, dtype=np.float64)
    else:
        raise UsageError(
            "the labels do not say how they were drawn: give each its `probability`, or declare with `--base-rate` "
            "which share of the stream should be flagged; of labels that are half right, a threshold of precision 0.95 "
            "has precision 0.02 on a stream where one image in a thousand is"
        )
    return Labels(scores, right, weights, clusters, by_answer=base_rate is not None)


def queue_threshold(scores: NDArray[np.float64], images_per_day: float, flags_per_day: float) -> tuple[float, int]:
    """
    Return the lowest threshold that flags at most so many images a day, and how many of `scores` it flags.

    `scores`: float64 [N], of a plain sample of the stream. Raises `UsageError` when the sample is too small to tell.
    """
    flags = math.floor(len(scores) * flags_per_day / images_per_day)
    if flags < 1:
        needed = math.ceil(images_per_day / flags_per_day)
        raise UsageError(
            f"{len(scores)} images are too few: of {images_per_day:g} a day, {flags_per_day:g} are one in "
            f"{needed}; give at least {10 * needed}"
        )
    falling = np.sort(scores)[::-1]
    if flags >= len(falling):
        return float(falling[-1]), len(falling)
    return float(falling[flags - 1] + falling[flags]) / 2, flags


def _by_answer(right: NDArray[np.bool_], different: NDArray[np.bool_], base_rate: float) -> NDArray[np.float64]:
    """Return what each label weighs, when the answers about `different` images are to have a share of `base_rate`."""
    if not 0 < base_rate < 1:
        raise UsageError(f"a base rate is a share of the stream, over 0 and under 1, not {base_rate:g}")
    share = float(different.mean())
    if share in (0.0, 1.0):
        raise UsageError(f"all {len(right)} labels are {'right' if share else 'wrong'}; a base rate needs both kinds")
    return np.where(right, base_rate / share, (1 - base_rate) / (1 - share))


def decided_labels(given: Sequence[Decided], judge: Judge, policy_id: str, base_rate: float | None) -> Labels:
    """
    Return the labels of one policy from decisions about images in its scope, in the order they were made.

    Raises `UsageError` when there are none, and as `weighted_labels` does.
    """
    policies = judge.bank.policy_set.policies
    place = next(i for i, policy in enumerate(policies) if policy.id == policy_id)
    scope = policies[place].scope
    within = [
        each
        for each in given
        if each.decision.policy == policy_id and (scope is None or scope.admits(each.decision.source, each.attributes))
    ]
    if not within:
        raise UsageError(f"nobody decided about `{policy_id}` within its scope")
    rulings = [each.decision for each in within]
    clusters = clusters_of(
        [each.content or "\n".join(each.about) for each in rulings],
        [read_hash(each.picture) if each.picture else None for each in rulings],
    )
    scores = judge.judge(np.stack([each.vector for each in within])).raw[:, place]
    right = np.array([each.ruling.right for each in rulings], dtype=bool)
    return weighted_labels(scores, right, clusters, [each.probability for each in rulings], base_rate)
