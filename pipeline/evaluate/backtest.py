"""What an edit of policies would have done to what was archived."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from pipeline.evaluate.intervals import Interval
from pipeline.events.policies import PolicySet
from pipeline.events.scope import SOURCE
from pipeline.judge.decide import decide
from pipeline.judge.score import Judge
from pipeline.judge.shadow import SUFFIX, union, without_shadows

# Of what changes, so many examples nearest to the threshold and so many furthest from it are kept.
EXAMPLES = 5
# So many embeddings stay in a core's cache from their widening to their scores.
AT_ONCE = 1024
# With fewer days than these and two more, none is left when those looked at in part are left out.
LEAST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an archived image besides its embedding. `day` is its date, in UTC."""

    event_id: str
    source: str
    attributes: Mapping[str, str]
    day: str


@dataclass(frozen=True, slots=True)
class Part:
    """
    Some archived images: `vectors`, float16 [N, D], and what is known of each, of `days` altogether.

    Of most images nothing is asked, so `images` may make each as it is asked for.
    """

    vectors: NDArray[np.float16]
    images: Sequence[Image]
    days: frozenset[str]


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
    is newly so by `source` and by each attribute. Of both kinds `nearest` keeps the examples nearest to the threshold,
    none of a `restricted` policy.
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
                mine.setdefault(name, Counter()).update(values)
        self.nearest_flagged = _fewest([*self.nearest_flagged, *other.nearest_flagged])
        self.nearest_cleared = _fewest([*self.nearest_cleared, *other.nearest_cleared])


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
            self.policies[policy_id].add(change)

    def queue(self, policy_id: str) -> Interval:
        """
        Return how many flags a day the edited policy would give, with a 95 % interval.

        The interval is of the mean over days, by Student's t where there are several. Of three days and more the first
        and the last are left out: they were looked at in part.
        """
        change, days = self.policies[policy_id], sorted(self.days)
        whole = days[1:-1] if len(days) > LEAST_DAYS else days
        return _mean_interval([change.days_after[day] for day in whole])


@dataclass(frozen=True, slots=True)
class PolicyAnswers:
    """What one policy says of N images: bool [N] each, and its raw scores, float64 [N]."""

    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    scores: NDArray[np.float64]
    threshold: float


Answers = dict[str, PolicyAnswers]


class Comparison:
    """
    Judges images by the set before and the set after, and keeps what differs.

    `judge_of` makes a judge of a policy set. Where both are measured against one background they are judged together,
    what is the same in both once, by the set or the two of `sets`; `threads` parts are judged at a time.
    """

    def __init__(
        self, before: PolicySet, after: PolicySet, judge_of: Callable[[PolicySet], Judge], threads: int = 1
    ) -> None:
        before, after = without_shadows(before), without_shadows(after)
        self._before, self._after = before, after
        self._threads = threads
        together = _together(before, after)
        self.sets: Sequence[PolicySet] = [before, after] if together is None else [together]
        self._judges = [judge_of(each) for each in self.sets]
        every = [policy for policy_set in (before, after) for policy in policy_set.policies]
        restricted = {policy.id for policy in every if policy.restricted}
        ids = sorted({policy.id for policy in every})
        self.found = Backtest({policy_id: PolicyChange(policy_id, policy_id in restricted) for policy_id in ids})

    def run(self, parts: Iterable[Part]) -> Backtest:
        """Judge every part and return what was found."""
        with ThreadPoolExecutor(self._threads, "backtest") as pool:
            ahead: deque[tuple[Part, Future[tuple[Answers, Answers]]]] = deque()
            for part in parts:
                ahead.append((part, pool.submit(self.answers, part)))
                if len(ahead) > 2 * self._threads:
                    self._note(*_first(ahead))
            while ahead:
                self._note(*_first(ahead))
        return self.found

    def answers(self, part: Part) -> tuple[Answers, Answers]:
        """Return what the set before and the set after say of some images. Calls from several threads are allowed."""
        answers = [answers_of(judge, part) for judge in self._judges]
        if len(answers) > 1:
            return answers[0], answers[1]
        [both] = answers
        old = {policy.id: both[policy.id] for policy in self._before.policies}
        new = {policy.id: both.get(policy.id + SUFFIX) or both[policy.id] for policy in self._after.policies}
        return old, new

    def _note(self, part: Part, old: Answers, new: Answers) -> None:
        self.found.images += len(part.images)
        self.found.days |= part.days
        for policy_id, change in self.found.policies.items():
            _note(change, part.images, old.get(policy_id), new.get(policy_id))


def _first(ahead: "deque[tuple[Part, Future[tuple[Answers, Answers]]]]") -> tuple[Part, Answers, Answers]:
    part, answers = ahead.popleft()
    return part, *answers.result()


def _together(before: PolicySet, after: PolicySet) -> PolicySet | None:
    """Return one set with both, None when their backgrounds differ."""
    return union(before, after) if before.background == after.background else None


def answers_of(judge: Judge, part: Part) -> Answers:
    """Return what every policy of a judge's set says of some archived images."""
    policies = judge.bank.policy_set.policies
    slices = [judge.judge(part.vectors[at : at + AT_ONCE]) for at in range(0, len(part.vectors), AT_ONCE)]
    raw = np.concatenate([each.raw for each in slices])
    said = decide(policies, np.concatenate([each.flagged for each in slices]), part.images)
    return {
        policy.id: PolicyAnswers(said.in_scope[:, place], said.flagged[:, place], raw[:, place], policy.threshold)
        for place, policy in enumerate(policies)
    }


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


def _note(change: PolicyChange, images: Sequence[Image], was: PolicyAnswers | None, will: PolicyAnswers | None) -> None:
    nobody = np.zeros(len(images), dtype=bool)
    before, after = (each.flagged if each is not None else nobody for each in (was, will))
    change.before += int(before.sum())
    change.after += int(after.sum())
    change.days_before.update(images[place].day for place in np.flatnonzero(before).tolist())
    change.days_after.update(images[place].day for place in np.flatnonzero(after).tolist())
    flagged, cleared = np.flatnonzero(after & ~before).tolist(), np.flatnonzero(before & ~after).tolist()
    change.newly_flagged += len(flagged)
    change.newly_cleared += len(cleared)
    _count(change.flagged_by, flagged, images)
    _count(change.cleared_by, cleared, images)
    if not change.restricted:
        change.nearest_flagged = _nearest(change.nearest_flagged, flagged, images, will)
        change.nearest_cleared = _nearest(change.nearest_cleared, cleared, images, was)


def _count(by: dict[str, Counter[str]], places: Sequence[int], images: Sequence[Image]) -> None:
    for place in places:
        image = images[place]
        for name, value in {**image.attributes, SOURCE: image.source}.items():
            by.setdefault(name, Counter())[value] += 1


def _nearest(
    kept: list[Example], places: Sequence[int], images: Sequence[Image], by: PolicyAnswers | None
) -> list[Example]:
    if not places or by is None:
        return kept
    more = [Example(float(by.scores[place] - by.threshold), images[place].event_id) for place in places]
    return _fewest([*kept, *more])


def _fewest(examples: Sequence[Example]) -> list[Example]:
    return heapq.nsmallest(EXAMPLES, examples, key=lambda each: (each.margin, each.event_id))


def _mean_interval(counts: Sequence[int]) -> Interval:
    values = np.array(counts, dtype=np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) <= 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(mean, max(0.0, mean - half), mean + half)
