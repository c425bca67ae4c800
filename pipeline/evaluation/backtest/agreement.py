"""What people had decided, held against an edit: where it would have been right, and what nobody judged."""

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
    """Of the `images` of one kind, people decided about so many; `right`: the share that should be flagged."""

    images: int
    decided: int
    right: Interval

    @property
    def unjudged(self) -> int:
        """Of how many nobody knows: they are not wrong, they are unknown."""
        return self.images - self.decided


@dataclass(frozen=True, slots=True)
class Agreement:
    """What decisions say of a policy before and after: of what both flag, and of what the edit flips."""

    policy_id: str
    both: Judged
    newly_flagged: Judged
    newly_cleared: Judged

    @property
    def precision_before(self) -> Interval:
        """The share of what was flagged that should be."""
        return _together(self.both, self.newly_cleared)

    @property
    def precision_after(self) -> Interval:
        """The share of what would be flagged that should be."""
        return _together(self.both, self.newly_flagged)


def agreements(comparison: PolicySetComparison, decided: Sequence[Decided]) -> list[Agreement]:
    """
    Return, for each policy that was decided about, how decisions agree with either set, once everything was judged.

    A decision weighs as many images as it was drawn from; one that does not say stands for itself. Decisions are mostly
    about what the policy before flagged: what is newly flagged is unjudged where nobody looked, and precision says so.
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
    """Return the share of several kinds together; one that nobody looked at may be all right or all wrong."""
    parts = tuple(each for each in parts if each.images)
    images = sum(each.images for each in parts)
    if not images:
        return Interval(float("nan"), 0.0, 1.0)
    value, lower, upper = (
        sum(each.images * getattr(each.right, end) for each in parts) / images for end in ("value", "lower", "upper")
    )
    return Interval(value, lower, upper)
