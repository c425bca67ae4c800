"""Agreement of people's decisions with the policy set before an edit and after it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Image, Part, PolicyChange
from pipeline.evaluation.decisions.standing import Decided
from pipeline.evaluation.stats.binomial import weighted_share
from pipeline.evaluation.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Judged:
    """
    Images of one kind, and people's decisions about them.

    `decided`: number of images with a decision; `right`: share of the images that should be flagged, as estimated from
    the decisions.
    """

    images: int
    decided: int
    right: Interval

    @property
    def undecided(self) -> int:
        """Number of images without a decision. They count neither as right nor as wrong."""
        return self.images - self.decided


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decisions about one policy: on images that both versions flag, and on images whose flag the edit changes."""

    policy_id: str
    both: Judged
    newly_flagged: Judged
    newly_cleared: Judged

    @property
    def precision_before(self) -> Interval:
        """Precision of the policy before the edit."""
        return _together(self.both, self.newly_cleared)

    @property
    def precision_after(self) -> Interval:
        """Precision of the policy after the edit."""
        return _together(self.both, self.newly_flagged)


def agreements(comparison: PolicySetComparison, decided: Sequence[Decided]) -> list[Agreement]:
    """
    Return the agreement of decisions with both sets, for each policy that has decisions. Call this after `run`.

    Each decision is weighted by 1 ÷ the probability with which its image was sampled, or by 1 if it has no probability.
    Most decisions are about flags of the old version, so newly flagged images are often undecided; the intervals of the
    precision allow for that.
    """
    if not decided:
        return []
    images = [Image(each.decision.event_id, each.decision.source, each.attributes) for each in decided]
    days = np.array([each.decision.time.date() for each in decided], dtype="datetime64[D]")
    part = Part(np.stack([each.vector for each in decided]), images, days)
    old, new = comparison.answers(part)
    found = []
    for policy_id, change in comparison.found.policies.items():
        about = np.array([each.decision.policy == policy_id for each in decided])
        if about.any():
            found.append(_agreement(change, decided, about, old.flags(policy_id), new.flags(policy_id)))
    return found


def _agreement(
    change: PolicyChange,
    decided: Sequence[Decided],
    about: NDArray[np.bool_],
    was: NDArray[np.bool_],
    will: NDArray[np.bool_],
) -> Agreement:
    right = np.array([each.decision.ruling.right for each in decided])
    weights = np.array([each.decision.weight for each in decided])

    def judged(images: int, inside: NDArray[np.bool_]) -> Judged:
        return Judged(images, int(inside.sum()), weighted_share(right[inside], weights[inside]))

    return Agreement(
        change.policy_id,
        both=judged(change.after - change.newly_flagged, about & was & will),
        newly_flagged=judged(change.newly_flagged, about & will & ~was),
        newly_cleared=judged(change.newly_cleared, about & was & ~will),
    )


def _together(*parts: Judged) -> Interval:
    """Pool the shares of several kinds of images. A kind without decisions may have any share from 0 to 1."""
    parts = tuple(each for each in parts if each.images)
    images = sum(each.images for each in parts)
    if not images:
        return Interval(float("nan"), 0.0, 1.0)
    value, lower, upper = (
        sum(each.images * getattr(each.right, end) for each in parts) / images for end in ("value", "lower", "upper")
    )
    return Interval(value, lower, upper)
