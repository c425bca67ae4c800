"""What people decided, and what it says of policies."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluate.calibrate import weighted_labels
from pipeline.evaluate.certify import Labels
from pipeline.evaluate.exact import weighted_share
from pipeline.evaluate.intervals import Interval
from pipeline.evaluate.near_duplicates import clusters_of, read_hash
from pipeline.evaluate.recall import Recall, estimate_recall, weighted_total
from pipeline.events.decisions import Decision, NoDecision, Ruling
from pipeline.events.records import Record
from pipeline.judge.score import Judge

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How a policy stands with the people who looked.

    `rulings` counts them. `precision` is of what was flagged and looked at, each weighing as many images as it was
    drawn from. `recall` is None where it is not said with which probability flags, or what was not flagged, were drawn.
    """

    policy_id: str
    rulings: Counter[Ruling]
    precision: Interval
    recall: Recall | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and what is archived of its image. `vector`: float16 [D]."""

    decision: Decision
    attributes: Mapping[str, str]
    vector: NDArray[np.float16]


def decided_labels(given: Sequence[Decided], judge: Judge, policy_id: str, base_rate: float | None) -> Labels:
    """
    Return the labels of one policy from decisions about images in its scope, in the order they were made.

    Raises `UsageError` when there are none, and as `weighted_labels` does.
    """
    policies = judge.bank.policy_set.policies
    place = next(i for i, policy in enumerate(policies) if policy.id == policy_id)
    scope = policies[place].scope
    within = [
        each
        for each in given
        if each.decision.policy == policy_id and (scope is None or scope.admits(each.decision.source, each.attributes))
    ]
    if not within:
        raise UsageError(f"nobody decided about `{policy_id}` within its scope")
    rulings = [each.decision for each in within]
    clusters = clusters_of(
        [each.content or "\n".join(each.about) for each in rulings],
        [read_hash(each.picture) if each.picture else None for each in rulings],
    )
    scores = judge.judge(np.stack([each.vector for each in within])).raw[:, place]
    right = np.array([each.ruling.right for each in rulings], dtype=bool)
    return weighted_labels(scores, right, clusters, [each.probability for each in rulings], base_rate)


def decisions(records: Iterable[Record]) -> Iterator[Decision]:
    """Yield the decisions of a topic; a record that is none is logged and left out."""
    for record in records:
        if record.value is None:
            continue
        try:
            yield Decision.read(record.value)
        except NoDecision as error:
            log.error("left out: no decision", at=str(record.origin), problem=str(error))  # noqa: TRY400 -- the message says all


def latest(given: Iterable[Decision]) -> list[Decision]:
    """Return the last decision, in time, about each policy and event, in the order of their times."""
    found: dict[tuple[str, str, str], Decision] = {}
    for decision in given:
        before = found.get(decision.about)
        if before is None or decision.time >= before.time:
            found[decision.about] = decision
    return sorted(found.values(), key=lambda each: (each.time, each.about))


def standings(given: Sequence[Decision]) -> list[Standing]:
    """Return how each policy that was decided about stands, in order of their ids."""
    by_policy: dict[str, list[Decision]] = {}
    for decision in given:
        by_policy.setdefault(decision.policy, []).append(decision)
    return [_standing(policy_id, by_policy[policy_id]) for policy_id in sorted(by_policy)]


def _standing(policy_id: str, given: Sequence[Decision]) -> Standing:
    flagged = [each for each in given if each.ruling.flagged]
    audited = [each for each in given if not each.ruling.flagged and each.probability is not None]
    right = np.array([each.ruling.right for each in flagged], dtype=bool)
    # What nobody said to be drawn was sent to people because it was flagged: each stands for itself.
    weights = np.array([each.weight for each in flagged], dtype=np.float64)
    recall = None
    if audited and all(each.probability is not None for each in flagged):
        recall = _recall(weights, right, audited)
    return Standing(policy_id, Counter(each.ruling for each in given), weighted_share(right, weights), recall)


def _recall(weights: NDArray[np.float64], right: NDArray[np.bool_], audited: Sequence[Decision]) -> Recall:
    """Return recall where not only what was missed is an estimate: each end by the worse end of what was hit."""
    missed, looked_at = _probabilities(each for each in audited if each.ruling.right), _probabilities(audited)
    drawn = weights > 1
    certain = float((right & ~drawn).sum())
    largest = float(weights[drawn].max()) if drawn.any() else 0.0
    value, lower, upper = (
        estimate_recall(certain + hits, missed, looked_at)
        for hits in weighted_total(weights[right & drawn], largest, level=0.025)
    )
    if value.interval is None or lower.interval is None or upper.interval is None:
        return value
    return Recall(Interval(value.interval.value, lower.interval.lower, upper.interval.upper), value.hits, value.misses)


def _probabilities(given: Iterable[Decision]) -> NDArray[np.float64]:
    return np.array([each.probability for each in given], dtype=np.float64)
