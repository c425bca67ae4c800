"""Result of a back-test: the changes that an edit of policies would have made to archived images."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from pipeline.evaluation.stats.intervals import Interval

# Number of examples that are kept of each kind, those nearest to the threshold.
EXAMPLES = 5
# Number of an attribute's values that are counted one by one; later values are counted together.
MOST_VALUES, OTHERS = 1000, "(others)"
# The first and the last day are incomplete and left out, unless there are no more than this many days.
MINIMUM_DAYS = 2


@dataclass(frozen=True, slots=True)
class Image:
    """Metadata of an archived image."""

    event_id: str
    source: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of the archive: `vectors`, float16 [N, D], their `images`, and their `days`, datetime64[D] [N], in UTC.

    Few images are read individually, so `images` may build each on access.
    """

    vectors: NDArray[np.float16]
    images: Sequence[Image]
    days: NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Example:
    """An image that only one of the two sets flags. `margin`: the distance of its score from that set's threshold."""

    margin: float
    event_id: str
    source: str = ""


class Flip(StrEnum):
    """Direction of a change."""

    NEWLY_FLAGGED = "newly flagged"
    NEWLY_CLEARED = "newly cleared"


@dataclass(frozen=True, slots=True)
class ChangedImage:
    """
    An example of one policy.

    `picture`: a JPEG, None where there is none; `problem`: the reason why the original is not available, or empty.
    """

    policy_id: str
    flip: Flip
    example: Example
    picture: bytes | None = None
    problem: str = ""


@dataclass
class PolicyChange:
    """
    Changes of one policy over all images that were judged.

    `before` and `after`: numbers of flags, and by day in `days_before` and `days_after`. `flagged_by` and `cleared_by`:
    numbers of newly flagged and newly cleared images, by source and by each attribute. `nearest_flagged` and
    `nearest_cleared`: the examples nearest to the threshold. A `restricted` policy has only the numbers of flags.
    """

    policy_id: str
    restricted: bool = False
    before: int = 0
    after: int = 0
    newly_flagged: int = 0
    newly_cleared: int = 0
    days_before: Counter[str] = field(default_factory=Counter)
    days_after: Counter[str] = field(default_factory=Counter)
    flagged_by: dict[str, Counter[str]] = field(default_factory=dict)
    cleared_by: dict[str, Counter[str]] = field(default_factory=dict)
    nearest_flagged: list[Example] = field(default_factory=list)
    nearest_cleared: list[Example] = field(default_factory=list)

    def add(self, other: "PolicyChange") -> None:
        """Add the changes of the same policy over other images."""
        self.before += other.before
        self.after += other.after
        self.newly_flagged += other.newly_flagged
        self.newly_cleared += other.newly_cleared
        self.days_before += other.days_before
        self.days_after += other.days_after
        for mine, theirs in ((self.flagged_by, other.flagged_by), (self.cleared_by, other.cleared_by)):
            for name, values in theirs.items():
                for value, count in values.items():
                    tally(mine.setdefault(name, Counter()), value, count)
        self.nearest_flagged = nearest([*self.nearest_flagged, *other.nearest_flagged])
        self.nearest_cleared = nearest([*self.nearest_cleared, *other.nearest_cleared])

    @property
    def changed(self) -> bool:
        """True when the edit flips any image."""
        return bool(self.newly_flagged or self.newly_cleared)


@dataclass
class Backtest:
    """Differences between two sets, counted over `images` archived images of these `days`."""

    policies: dict[str, PolicyChange]
    images: int = 0
    days: set[str] = field(default_factory=set)

    def add(self, other: "Backtest") -> None:
        """Add the differences between the same two sets over other images."""
        self.images += other.images
        self.days |= other.days
        for policy_id, change in other.policies.items():
            self.policies.setdefault(policy_id, PolicyChange(policy_id, change.restricted)).add(change)

    @property
    def changed(self) -> list[PolicyChange]:
        """The policies whose flags the edit changes."""
        return [each for each in self.policies.values() if each.changed]

    def examples(self) -> Iterator[ChangedImage]:
        """Yield the examples of every policy, those nearest to the threshold first, without pictures."""
        for change in self.policies.values():
            yield from (ChangedImage(change.policy_id, Flip.NEWLY_FLAGGED, each) for each in change.nearest_flagged)
            yield from (ChangedImage(change.policy_id, Flip.NEWLY_CLEARED, each) for each in change.nearest_cleared)

    def queue(self, policy_id: str) -> Interval:
        """
        Return the edited policy's mean number of flags a day, with a 95 % interval by Student's t over days.

        Of three or more days the first and the last are left out, because they are incomplete. One day has no interval.
        """
        change, days = self.policies[policy_id], sorted(self.days)
        whole = days[1:-1] if len(days) > MINIMUM_DAYS else days
        return _mean_interval([change.days_after[day] for day in whole])


def tally(counter: Counter[str], value: str, count: int) -> None:
    """
    Count a value of an attribute.

    After `MOST_VALUES` different values, for example file names, new ones count as `OTHERS`.
    """
    counter[value if value in counter or len(counter) < MOST_VALUES else OTHERS] += count


def nearest(examples: Sequence[Example]) -> list[Example]:
    """Return the examples nearest to the threshold, `EXAMPLES` of them."""
    return heapq.nsmallest(EXAMPLES, examples, key=lambda each: (each.margin, each.event_id))


def _mean_interval(counts: Sequence[int]) -> Interval:
    values = np.array(counts, dtype=np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) <= 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, max(0.0, mean - half), mean + half)
