"""What an edit of policies would have done to what was archived."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from pipeline.evaluation.stats.intervals import Interval

# Of what changes, so many examples nearest to the threshold are kept.
EXAMPLES = 5
# An attribute's values that are counted each; what comes after them is counted as one.
MOST_VALUES, OTHERS = 1000, "(others)"
# With fewer days than these and two more, none is left when those looked at in part are left out.
LEAST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an archived image besides its embedding."""

    event_id: str
    source: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """
    Some archived images: `vectors`, float16 [N, D], what is known of each, and its `days`, datetime64[D] [N], in UTC.

    Of most images nothing is asked, so `images` may make each as it is asked for.
    """

    vectors: NDArray[np.float16]
    images: Sequence[Image]
    days: NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Example:
    """An image about which the two sets differ, and by how much the one that flags it is over its threshold."""

    margin: float
    event_id: str


@dataclass
class PolicyChange:
    """
    One policy before and after, over everything that was looked at.

    `before` and `after` count flags, by day in `days_before` and `days_after`; `flagged_by` and `cleared_by` count what
    is newly so by `source` and by each attribute. Of both kinds `nearest` keeps the examples nearest to the threshold.
    Of a `restricted` policy there is neither.
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
        """Take in what was found elsewhere of the same policy."""
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


@dataclass
class Backtest:
    """Everything that two sets say differently. `images` were looked at, on `days`."""

    policies: dict[str, PolicyChange]
    images: int = 0
    days: set[str] = field(default_factory=set)

    def add(self, other: "Backtest") -> None:
        """Take in what the same two sets say of other images."""
        self.images += other.images
        self.days |= other.days
        for policy_id, change in other.policies.items():
            self.policies.setdefault(policy_id, PolicyChange(policy_id, change.restricted)).add(change)

    def queue(self, policy_id: str) -> Interval:
        """
        Return how many flags a day the edited policy would give, with a 95 % interval.

        The interval is of the mean over days, by Student's t where there are several. Of three days and more the first
        and the last are left out: they were looked at in part.
        """
        change, days = self.policies[policy_id], sorted(self.days)
        whole = days[1:-1] if len(days) > LEAST_DAYS else days
        return _mean_interval([change.days_after[day] for day in whole])


def tally(counter: Counter[str], value: str, count: int) -> None:
    """Count a value of an attribute; of one with very many, such as a file's name, the later ones together."""
    counter[value if value in counter or len(counter) < MOST_VALUES else OTHERS] += count


def nearest(examples: Sequence[Example]) -> list[Example]:
    """Return the examples to keep: those nearest to the threshold."""
    return heapq.nsmallest(EXAMPLES, examples, key=lambda each: (each.margin, each.event_id))


def _mean_interval(counts: Sequence[int]) -> Interval:
    values = np.array(counts, dtype=np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) <= 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, max(0.0, mean - half), mean + half)
