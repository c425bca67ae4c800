"""What an edit of policies would have done to what was archived."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from pipeline.evaluate.intervals import Interval
from pipeline.judge.decide import decide
from pipeline.judge.score import Judge

# Of what changes, so many examples nearest to the threshold and so many furthest from it are kept.
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an archived image besides its embedding. `day` is its date, in UTC."""

    event_id: str
    source: str
    attributes: Mapping[str, str]
    day: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some archived images: `vectors`, float16 [N, D], and what is known of each."""

    vectors: NDArray[np.float16]
    images: Sequence[Image]


@dataclass(frozen=True, slots=True)
class Example:
    """An image about which the two sets differ, and by how much the one that flags it is over its threshold."""

    margin: float
    event_id: str


@dataclass
class PolicyChange:
    """
    One policy before and after, over everything that was looked at.

    `before` and `after` count flags, by day in `days_before` and `days_after`; `by` counts what is newly flagged and
    cleared by source. Of both kinds `nearest` keeps the examples nearest to the threshold.
    """

    policy_id: str
    before: int = 0
    after: int = 0
    newly_flagged: int = 0
    newly_cleared: int = 0
    days_before: Counter[str] = field(default_factory=Counter)
    days_after: Counter[str] = field(default_factory=Counter)
    flagged_by: Counter[str] = field(default_factory=Counter)
    cleared_by: Counter[str] = field(default_factory=Counter)
    nearest_flagged: list[Example] = field(default_factory=list)
    nearest_cleared: list[Example] = field(default_factory=list)


@dataclass
class Backtest:
    """Everything that two sets say differently. `images` were looked at, on `days`."""

    policies: dict[str, PolicyChange]
    images: int = 0
    days: set[str] = field(default_factory=set)

    def queue(self, policy_id: str) -> Interval:
        """
        Return how many flags a day the edited policy would give, with a 95 % interval.

        The interval is of the mean over the days that were looked at, by Student's t where there are several.
        """
        change = self.policies[policy_id]
        return _mean_interval([change.days_after[day] for day in sorted(self.days)])


class Comparison:
    """Judges images by the set before and the set after, and keeps what differs."""

    def __init__(self, before: Judge, after: Judge) -> None:
        self._before, self._after = before, after
        ids = {policy.id for judge in (before, after) for policy in judge.bank.policy_set.policies}
        self.found = Backtest({policy_id: PolicyChange(policy_id) for policy_id in sorted(ids)})
        self._scoped = any(
            policy.scope is not None for judge in (before, after) for policy in judge.bank.policy_set.policies
        )

    @property
    def scoped(self) -> bool:
        """Whether attributes decide anything; if not, they need not be read."""
        return self._scoped

    def add(self, part: Part) -> None:
        """Take some more images into account."""
        old, new = (self._answers(judge, part) for judge in (self._before, self._after))
        self.found.images += len(part.images)
        self.found.days |= {image.day for image in part.images}
        for policy_id, change in self.found.policies.items():
            was, will = old.get(policy_id), new.get(policy_id)
            nobody = np.zeros(len(part.images), dtype=bool)
            _note(change, part.images, was or (nobody, None), will or (nobody, None))

    def _answers(self, judge: Judge, part: Part) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        policies = judge.bank.policy_set.policies
        scores = judge.judge(part.vectors)
        answers = decide(policies, scores.flagged, part.images)
        return {
            policy.id: (answers.flagged[:, place], scores.raw[:, place] - policy.threshold)
            for place, policy in enumerate(policies)
        }


def compare_sets(before: Judge, after: Judge, parts: Iterable[Part]) -> Backtest:
    """Return what `after` says of archived images that `before` does not, and the other way round."""
    comparison = Comparison(before, after)
    for part in parts:
        comparison.add(part)
    return comparison.found


def recount(judges: Mapping[str, Judge], part: Part, sets: Sequence[str]) -> list[tuple[str, str]]:
    """
    Return the flags, event id and policy id, that each image's own set makes of it again.

    `judges` by policy set digest; `sets`: the digest of the set that judged each image of `part`.
    """
    found: list[tuple[str, str]] = []
    for digest in sorted(set(sets)):
        places = [place for place, each in enumerate(sets) if each == digest]
        policies, judge = judges[digest].bank.policy_set.policies, judges[digest]
        images = [part.images[place] for place in places]
        flagged = decide(policies, judge.judge(part.vectors[places]).flagged, images).flagged
        found += [
            (images[i].event_id, policies[p].id)
            for i, p in np.argwhere(flagged).tolist()
            if policies[p].mode.value == "enforce" and policies[p].parent is None
        ]
    return found


def _note(
    change: PolicyChange,
    images: Sequence[Image],
    was: tuple[NDArray[np.bool_], NDArray[np.float64] | None],
    will: tuple[NDArray[np.bool_], NDArray[np.float64] | None],
) -> None:
    before, after = was[0], will[0]
    change.before += int(before.sum())
    change.after += int(after.sum())
    change.days_before.update(images[place].day for place in np.flatnonzero(before).tolist())
    change.days_after.update(images[place].day for place in np.flatnonzero(after).tolist())
    flagged, cleared = np.flatnonzero(after & ~before).tolist(), np.flatnonzero(before & ~after).tolist()
    change.newly_flagged += len(flagged)
    change.newly_cleared += len(cleared)
    change.flagged_by.update(images[place].source for place in flagged)
    change.cleared_by.update(images[place].source for place in cleared)
    change.nearest_flagged = _nearest(change.nearest_flagged, flagged, images, will[1])
    change.nearest_cleared = _nearest(change.nearest_cleared, cleared, images, was[1])


def _nearest(
    kept: list[Example], places: Sequence[int], images: Sequence[Image], margins: NDArray[np.float64] | None
) -> list[Example]:
    if not places or margins is None:
        return kept
    more = [Example(float(margins[place]), images[place].event_id) for place in places]
    return heapq.nsmallest(EXAMPLES, [*kept, *more], key=lambda each: (each.margin, each.event_id))


def _mean_interval(counts: Sequence[int]) -> Interval:
    values = np.array(counts, dtype=np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) <= 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, max(0.0, mean - half), mean + half)
