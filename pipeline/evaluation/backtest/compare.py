"""Archived images judged by the set before an edit and by the set after it."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.evaluation.backtest.result import EXAMPLES, Backtest, Example, Image, Part, PolicyChange, nearest, tally
from pipeline.events.policies import Mode, Policy, PolicySet, PromptBank
from pipeline.events.scope import SOURCE
from pipeline.judge.decide import decide
from pipeline.judge.score import Judge
from pipeline.releases.shadow import SUFFIX, merge_as_shadows, without_shadows

# So many embeddings stay in a core's cache from their widening to their scores.
AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Answers:
    """
    What P policies say of N images: bool [N, P] each, and their raw scores, float64 [N, P].

    `places` says in which column a policy stands, by the id it has in its own set; one that is not there says no.
    """

    policies: Sequence[Policy]
    places: Mapping[str, int]
    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def flags(self, policy_id: str) -> NDArray[np.bool_]:
        """Return what a policy flags, bool [N]."""
        place = self.places.get(policy_id)
        return np.zeros(len(self.flagged), dtype=bool) if place is None else self.flagged[:, place]

    def withheld(self) -> NDArray[np.bool_]:
        """Return which images a restricted policy flags, bool [N]."""
        restricted = [place for place, policy in enumerate(self.policies) if policy.restricted]
        return np.asarray(self.flagged[:, restricted].any(axis=1))

    def margin(self, policy_id: str, image: int) -> float:
        """Return by how much an image is over a policy's threshold."""
        place = self.places[policy_id]
        return float(self.scores[image, place] - self.policies[place].threshold)


class PolicySetComparison:
    """
    Judges images by the set before and the set after, and keeps what differs.

    `judge_of` makes a judge of a policy set. Where both are measured against one background they are judged together,
    what is the same in both once, by the one or two prompt banks of `banks`; `threads` parts are judged at a time.
    """

    def __init__(
        self, before: PolicySet, after: PolicySet, judge_of: Callable[[PolicySet], Judge], threads: int = 1
    ) -> None:
        before, after = without_shadows(before), without_shadows(after)
        self._threads = threads
        together = _together(before, after)
        self._judges = [judge_of(each) for each in ([before, after] if together is None else [together])]
        sets = [judge.bank.policy_set for judge in self._judges]
        self._old, self._new = _places(before, sets[0]), _places(after, sets[-1], SUFFIX)
        every = [policy for policy_set in (before, after) for policy in policy_set.policies]
        self._restricted = {policy.id for policy in every if policy.restricted}
        self._ids = sorted({policy.id for policy in every})
        self.found = Backtest({each: PolicyChange(each, each in self._restricted) for each in self._ids})

    @property
    def banks(self) -> dict[str, PromptBank]:
        """What it judges by, by the digest of the set."""
        return {judge.bank.policy_set.digest: judge.bank for judge in self._judges}

    def run(self, parts: Iterable[Part]) -> Backtest:
        """Judge every part and return what was found."""
        # One thread a product, and as many products at a time as there are threads: they also widen and pool.
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(self._threads, "backtest") as pool:
            ahead: deque[Future[Backtest]] = deque()
            for part in parts:
                ahead.append(pool.submit(self._compare, part))
                if len(ahead) > 2 * self._threads:
                    self.found.add(ahead.popleft().result())
            while ahead:
                self.found.add(ahead.popleft().result())
        return self.found

    def answers(self, part: Part) -> tuple[Answers, Answers]:
        """Return what the set before and the set after say of some images. Calls from several threads are allowed."""
        said = [answers_of(judge, part) for judge in self._judges]
        return _by(said[0], self._old), _by(said[-1], self._new)

    def _compare(self, part: Part) -> Backtest:
        old, new = self.answers(part)
        # All policies in one go: of most nothing changes, and there are thousands of parts.
        was, will = _columns(old, self._ids), _columns(new, self._ids)
        found = Backtest({}, len(part.images), {str(day) for day in np.unique(part.days)})
        shown = ~(old.withheld() | new.withheld())
        for place in np.flatnonzero((was | will).any(axis=0)).tolist():
            policy_id = self._ids[place]
            change = PolicyChange(policy_id, policy_id in self._restricted)
            _note(change, part, was[:, place], will[:, place])
            if not change.restricted:
                _describe(change, part, was[:, place], will[:, place], shown, old, new)
            found.policies[policy_id] = change
        return found


def answers_of(judge: Judge, part: Part) -> Answers:
    """Return what every policy of a judge's set says of some archived images."""
    policies = judge.bank.policy_set.policies
    slices = [judge.judge(part.vectors[at : at + AT_ONCE]) for at in range(0, len(part.vectors), AT_ONCE)]
    raw = np.concatenate([each.raw for each in slices])
    said = decide(policies, np.concatenate([each.flagged for each in slices]), part.images)
    places = {policy.id: place for place, policy in enumerate(policies)}
    return Answers(policies, places, said.in_scope, said.flagged, raw)


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
            if policies[p].mode is Mode.ENFORCE and policies[p].parent is None
        ]
    return found


def _together(before: PolicySet, after: PolicySet) -> PolicySet | None:
    """Return one set with both, None when their backgrounds differ."""
    return merge_as_shadows(before, after) if before.background == after.background else None


def _places(own: PolicySet, judged: PolicySet, suffix: str = "") -> dict[str, int]:
    """Return where each policy of a set stands in the set that judges: under its id with `suffix` where it is there."""
    places = {policy.id: place for place, policy in enumerate(judged.policies)}
    return {policy.id: places.get(policy.id + suffix, places.get(policy.id, -1)) for policy in own.policies}


def _by(said: Answers, places: Mapping[str, int]) -> Answers:
    return Answers(said.policies, places, said.in_scope, said.flagged, said.scores)


def _columns(said: Answers, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return what policies of these ids flag, bool [N, len(ids)]; one that is not there flags nothing."""
    padded = np.concatenate([said.flagged, np.zeros((len(said.flagged), 1), dtype=bool)], axis=1)
    return np.asarray(padded[:, [said.places.get(each, -1) for each in ids]])


def _note(change: PolicyChange, part: Part, was: NDArray[np.bool_], will: NDArray[np.bool_]) -> None:
    change.before, change.after = int(was.sum()), int(will.sum())
    change.days_before, change.days_after = _by_day(part.days[was]), _by_day(part.days[will])
    change.newly_flagged, change.newly_cleared = int((will & ~was).sum()), int((was & ~will).sum())


def _describe(
    change: PolicyChange,
    part: Part,
    was: NDArray[np.bool_],
    will: NDArray[np.bool_],
    shown: NDArray[np.bool_],
    old: Answers,
    new: Answers,
) -> None:
    """Say of what flips where it is from, and name examples, none of which a restricted policy flags."""
    flagged, cleared = np.flatnonzero(will & ~was), np.flatnonzero(was & ~will)
    _count(change.flagged_by, flagged.tolist(), part.images)
    _count(change.cleared_by, cleared.tolist(), part.images)
    change.nearest_flagged = _nearest(change.policy_id, flagged[shown[flagged]].tolist(), part.images, new)
    change.nearest_cleared = _nearest(change.policy_id, cleared[shown[cleared]].tolist(), part.images, old)


def _by_day(days: NDArray[np.datetime64]) -> Counter[str]:
    named, counts = np.unique(days, return_counts=True)
    return Counter(dict(zip(map(str, named), counts.tolist(), strict=True)))


def _count(by: dict[str, Counter[str]], places: Sequence[int], images: Sequence[Image]) -> None:
    for place in places:
        image = images[place]
        for name, value in {**image.attributes, SOURCE: image.source}.items():
            tally(by.setdefault(name, Counter()), value, 1)


def _nearest(policy_id: str, places: Sequence[int], images: Sequence[Image], by: Answers) -> list[Example]:
    margins = sorted((by.margin(policy_id, place), place) for place in places)
    # More than are kept, for those of one margin: which of them stay does not depend on the part they came in.
    last = margins[min(EXAMPLES, len(margins)) - 1][0] if margins else 0.0
    return nearest([Example(margin, images[place].event_id) for margin, place in margins if margin <= last])
