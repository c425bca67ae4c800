"""Answers of policies on a labelled stream, joined with its labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledImage, LabelledStream
from pipeline.evaluation.replay.recorded import RecordedVerdict
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import Policy


@dataclass(frozen=True)
class Replayed:
    """
    Answers of a policy set on a labelled stream, for N judged images and P labelled policies.

    `images`: the judged images; `unjudged`: the ids of the others, with the reason. `policies`: the labelled policies;
    `unlabelled`: the ids of the others. `scores`: float64 [N, P]. `flagged`, `in_scope` and `right`, whether the policy
    should flag the image: bool [N, P]. `withheld`: bool [N], images that a restricted policy flags or should flag,
    labelled or not; `restricted`: the restricted policies of the set.
    """

    images: tuple[LabelledImage, ...]
    unjudged: tuple[tuple[str, str], ...]
    policies: tuple[Policy, ...]
    unlabelled: tuple[str, ...]
    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    in_scope: NDArray[np.bool_]
    right: NDArray[np.bool_]
    withheld: NDArray[np.bool_]
    restricted: tuple[Policy, ...]
    policy_set_digest: str
    model_digest: str

    @cached_property
    def clusters(self) -> NDArray[np.intp]:
        """Number of each image's cluster of near-duplicates, int [N]."""
        return np.asarray(np.unique([image.cluster for image in self.images], return_inverse=True)[1], dtype=np.intp)


def collect(stream: LabelledStream, outcomes: Iterable[Verdict | RecordedVerdict | DeadLetter]) -> Replayed:
    """
    Join a stream's outcomes, in the order of its images, with its labels.

    Raises `UsageError` when no image could be judged, or when labels name a policy that the set does not have.
    """
    pairs = list(zip(stream.images, outcomes, strict=True))
    judged = [(image, outcome) for image, outcome in pairs if not isinstance(outcome, DeadLetter)]
    if not judged:
        raise UsageError("no image of the stream can be judged")
    first = judged[0][1]
    policies = first.policy_set.policies
    if unknown := stream.policies - {policy.id for policy in policies}:
        raise UsageError(f"the labels name policies that are not in the set: {', '.join(sorted(unknown))}")
    columns = [index for index, policy in enumerate(policies) if policy.id in stream.policies]
    labelled = tuple(policies[index] for index in columns)
    flagged = np.stack([verdict.flagged for _, verdict in judged])
    return Replayed(
        images=tuple(image for image, _ in judged),
        unjudged=tuple(
            (image.id, f"{outcome.reason}: {outcome.detail}")
            for image, outcome in pairs
            if isinstance(outcome, DeadLetter)
        ),
        policies=labelled,
        unlabelled=tuple(policy.id for policy in policies if policy.id not in stream.policies),
        scores=np.stack([verdict.scores for _, verdict in judged])[:, columns],
        flagged=flagged[:, columns],
        in_scope=np.stack([verdict.in_scope for _, verdict in judged])[:, columns],
        right=np.array([[policy.id in image.right for policy in labelled] for image, _ in judged], dtype=bool),
        withheld=_withheld([image for image, _ in judged], policies, flagged),
        restricted=tuple(policy for policy in policies if policy.restricted),
        policy_set_digest=first.policy_set.digest,
        model_digest=first.model_digest,
    )


def _withheld(
    images: Sequence[LabelledImage], policies: Sequence[Policy], flagged: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the images that a restricted policy flags or should flag, bool [N]; `flagged`: bool [N, all policies]."""
    restricted = [index for index, policy in enumerate(policies) if policy.restricted]
    ids = frozenset(policies[index].id for index in restricted)
    labelled = np.array([bool(ids & image.right) for image in images], dtype=bool)
    return np.asarray(flagged[:, restricted].any(axis=1) | labelled)
