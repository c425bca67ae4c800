"""Comparison of two policy sets, before and after an edit, on archived images."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.evaluation.backtest.result import EXAMPLES, Backtest, Example, Image, Part, PolicyChange, nearest, tally
from pipeline.events.policies import Policy, PolicySet, PromptBank
from pipeline.events.scope import SOURCE
from pipeline.judge.decide import decide
from pipeline.judge.score import Judge
from pipeline.releases.shadow import SUFFIX, merge_as_shadows, without_shadows

# Number of embeddings that fit in a core's cache together with their float32 copy and their scores.
AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Answers:
    """
    Answers of P policies about N images: bool [N, P] each, and their raw scores, float64 [N, P].

    `columns`: the column of each policy, by the policy's id in its own set. A policy without a column flags nothing.
    """

    policies: Sequence[Policy]
    columns: Mapping[str, int]
    in_scope: NDArray[np.bool_]
    flagged: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def flags(self, policy_id: str) -> NDArray[np.bool_]:
        """Return the flags of a policy, bool [N]."""
        column = self.columns.get(policy_id)
        return np.zeros(len(self.flagged), dtype=bool) if column is None else self.flagged[:, column]

    def withheld(self) -> NDArray[np.bool_]:
        """Return the flags of restricted policies together, bool [N]; these images must not be shown."""
        restricted = [column for column, policy in enumerate(self.policies) if policy.restricted]
        return np.asarray(self.flagged[:, restricted].any(axis=1))

    def margin(self, policy_id: str, image: int) -> float:
        """Return the score of an image minus the threshold of a policy."""
        column = self.columns[policy_id]
        return float(self.scores[image, column] - self.policies[column].threshold)


class PolicySetComparison:
    """
    Judges images with the sets before and after an edit, and keeps the differences in `found`.

    `judge_of` makes the judge of a policy set. Sets with the same background are merged, so that a policy in both sets
    is scored only once. Sets with different backgrounds have one judge each. `threads`: number of parts judged at the
    same time.
    """

    def __init__(
        self, before: PolicySet, after: PolicySet, judge_of: Callable[[PolicySet], Judge], threads: int = 1
    ) -> None:
        before, after = without_shadows(before), without_shadows(after)
        self._threads = threads
        together = _together(before, after)
        self._judges = [judge_of(each) for each in ([before, after] if together is None else [together])]
        sets = [judge.bank.policy_set for judge in self._judges]
        self._old, self._new = _columns_of(before, sets[0]), _columns_of(after, sets[-1], SUFFIX)
        every = [policy for policy_set in (before, after) for policy in policy_set.policies]
        self._restricted = {policy.id for policy in every if policy.restricted}
        self._ids = sorted({policy.id for policy in every})
        self.found = Backtest({each: PolicyChange(each, each in self._restricted) for each in self._ids})

    @property
    def banks(self) -> dict[str, PromptBank]:
        """The prompt banks of the judges, by the digest of their set."""
        return {judge.bank.policy_set.digest: judge.bank for judge in self._judges}

    def run(self, parts: Iterable[Part]) -> Backtest:
        """Judge every part and return `found`."""
        # One BLAS thread each, and several products at once: widening and pooling then run in parallel too.
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
        """Return the answers of both sets, before and after, about a part. Several threads may call this."""
        judged = [answers_of(judge, part) for judge in self._judges]
        return _with_columns(judged[0], self._old), _with_columns(judged[-1], self._new)

    def _compare(self, part: Part) -> Backtest:
        old, new = self.answers(part)
        # All policies at once: there are thousands of parts, and most policies do not change.
        was, will = _flags_of(old, self._ids), _flags_of(new, self._ids)
        found = Backtest({}, len(part.images), {str(day) for day in np.unique(part.days)})
        shown = ~(old.withheld() | new.withheld())
        for index in np.flatnonzero((was | will).any(axis=0)).tolist():
            policy_id = self._ids[index]
            change = PolicyChange(policy_id, policy_id in self._restricted)
            _count_flags(change, part, was[:, index], will[:, index])
            if not change.restricted:
                _describe(change, part, was[:, index], will[:, index], shown, old, new)
            found.policies[policy_id] = change
        return found


def answers_of(judge: Judge, part: Part) -> Answers:
    """Return the answers of every policy of a judge's set about a part of the archive."""
    policies = judge.bank.policy_set.policies
    slices = [judge.judge(part.vectors[at : at + AT_ONCE]) for at in range(0, len(part.vectors), AT_ONCE)]
    raw = np.concatenate([each.raw for each in slices])
    decided = decide(policies, np.concatenate([each.flagged for each in slices]), part.images)
    columns = {policy.id: column for column, policy in enumerate(policies)}
    return Answers(policies, columns, decided.in_scope, decided.flagged, raw)


def _together(before: PolicySet, after: PolicySet) -> PolicySet | None:
    """Return both sets merged into one, with the edited policies as shadows; None when their backgrounds differ."""
    return merge_as_shadows(before, after) if before.background == after.background else None


def _columns_of(own: PolicySet, judged: PolicySet, suffix: str = "") -> dict[str, int]:
    """
    Return the column of each policy of `own` in the judge's set; there, ids of edited policies end with `suffix`.
    """
    columns = {policy.id: column for column, policy in enumerate(judged.policies)}
    return {policy.id: columns.get(policy.id + suffix, columns.get(policy.id, -1)) for policy in own.policies}


def _with_columns(answers: Answers, columns: Mapping[str, int]) -> Answers:
    return Answers(answers.policies, columns, answers.in_scope, answers.flagged, answers.scores)


def _flags_of(answers: Answers, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Return the flags of these policies, bool [N, len(ids)]; a missing policy flags nothing."""
    padded = np.concatenate([answers.flagged, np.zeros((len(answers.flagged), 1), dtype=bool)], axis=1)
    return np.asarray(padded[:, [answers.columns.get(each, -1) for each in ids]])


def _count_flags(change: PolicyChange, part: Part, was: NDArray[np.bool_], will: NDArray[np.bool_]) -> None:
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
    """Count flipped images by attribute and choose examples that no restricted policy flags."""
    flagged, cleared = np.flatnonzero(will & ~was), np.flatnonzero(was & ~will)
    _count_attributes(change.flagged_by, flagged.tolist(), part.images)
    _count_attributes(change.cleared_by, cleared.tolist(), part.images)
    change.nearest_flagged = _nearest(change.policy_id, flagged[shown[flagged]].tolist(), part.images, new)
    change.nearest_cleared = _nearest(change.policy_id, cleared[shown[cleared]].tolist(), part.images, old)


def _by_day(days: NDArray[np.datetime64]) -> Counter[str]:
    named, counts = np.unique(days, return_counts=True)
    return Counter(dict(zip(map(str, named), counts.tolist(), strict=True)))


def _count_attributes(by: dict[str, Counter[str]], chosen: Sequence[int], images: Sequence[Image]) -> None:
    for index in chosen:
        image = images[index]
        for name, value in {**image.attributes, SOURCE: image.source}.items():
            tally(by.setdefault(name, Counter()), value, 1)


def _nearest(policy_id: str, chosen: Sequence[int], images: Sequence[Image], by: Answers) -> list[Example]:
    margins = sorted((by.margin(policy_id, index), index) for index in chosen)
    # Ties with the last one go in too, so that the choice among them does not depend on the division into parts.
    last = margins[min(EXAMPLES, len(margins)) - 1][0] if margins else 0.0
    return nearest(
        [Example(margin, images[index].event_id, images[index].source) for margin, index in margins if margin <= last]
    )
