"""What people decided, and what it says of policies."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.evaluation.stats.binomial import weighted_share
from pipeline.evaluation.stats.intervals import Interval
from pipeline.evaluation.stats.recall import Recall, estimate_recall, weighted_total
from pipeline.events.decisions import Decision, NoDecision, Ruling
from pipeline.events.records import Record

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DecisionStats:
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


def standings(given: Sequence[Decision]) -> list[DecisionStats]:
    """Return how each policy that was decided about stands, in order of their ids."""
    by_policy: dict[str, list[Decision]] = {}
    for decision in given:
        by_policy.setdefault(decision.policy, []).append(decision)
    return [_standing(policy_id, by_policy[policy_id]) for policy_id in sorted(by_policy)]


def _standing(policy_id: str, given: Sequence[Decision]) -> DecisionStats:
    flagged = [each for each in given if each.ruling.flagged]
    audited = [each for each in given if not each.ruling.flagged and each.probability is not None]
    right = np.array([each.ruling.right for each in flagged], dtype=bool)
    # What nobody said to be drawn was sent to people because it was flagged: each stands for itself.
    weights = np.array([each.weight for each in flagged], dtype=np.float64)
    recall = None
    if audited and all(each.probability is not None for each in flagged):
        recall = _recall(weights, right, audited)
    return DecisionStats(policy_id, Counter(each.ruling for each in given), weighted_share(right, weights), recall)


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
