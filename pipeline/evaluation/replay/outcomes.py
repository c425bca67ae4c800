"""A labelled stream through the pipeline's own steps, in this process."""

from collections.abc import Iterable
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
    What the policies said of a labelled stream.

    `images` are those that could be judged, N of them; `unjudged` the ids of the others, with the reason. `policies`
    are those that the labels speak of, P of them; `unlabelled` the ids of the others. `scores`: float64 [N, P];
    `flagged`, `in_scope` and `right`, what should be flagged: bool [N, P]. `withheld`, bool [N]: what a restricted
    policy flags, or should flag, whether labels speak of it or not; `restricted` are those policies.
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
        """The number of each image's cluster of near-duplicates, int [N]."""
        return np.asarray(np.unique([image.cluster for image in self.images], return_inverse=True)[1], dtype=np.intp)


def collect(stream: LabelledStream, outcomes: Iterable[Verdict | RecordedVerdict | DeadLetter]) -> Replayed:
    """
    Put a stream's outcomes, in its order, beside its labels.

    Raises `UsageError` when nothing could be judged, or when labels name a policy that the set does not have.
    """
    pairs = list(zip(stream.images, outcomes, strict=True))
    judged = [(image, outcome) for image, outcome in pairs if not isinstance(outcome, DeadLetter)]
    if not judged:
        raise UsageError("no image of the stream can be judged")
    first = judged[0][1]
    policies = first.policy_set.policies
    if unknown := stream.policies - {policy.id for policy in policies}:
        raise UsageError(f"the labels name policies that are not in the set: {', '.join(sorted(unknown))}")
    places = [place for place, policy in enumerate(policies) if policy.id in stream.policies]
    restricted = [place for place, policy in enumerate(policies) if policy.restricted]
    withheld = frozenset(policies[place].id for place in restricted)
    flagged = np.stack([verdict.flagged for _, verdict in judged])
    kept = tuple(policies[place] for place in places)
    return Replayed(
        images=tuple(image for image, _ in judged),
        unjudged=tuple(
            (image.id, f"{outcome.reason}: {outcome.detail}")
            for image, outcome in pairs
            if isinstance(outcome, DeadLetter)
        ),
        policies=kept,
        unlabelled=tuple(policy.id for policy in policies if policy.id not in stream.policies),
        scores=np.stack([verdict.scores for _, verdict in judged])[:, places],
        flagged=flagged[:, places],
        in_scope=np.stack([verdict.in_scope for _, verdict in judged])[:, places],
        right=np.array([[policy.id in image.right for policy in kept] for image, _ in judged], dtype=bool),
        withheld=flagged[:, restricted].any(axis=1)
        | np.array([bool(withheld & image.right) for image, _ in judged], dtype=bool),
        restricted=tuple(policies[place] for place in restricted),
        policy_set_digest=first.policy_set.digest,
        model_digest=first.model_digest,
    )
