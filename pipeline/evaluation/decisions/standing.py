"""Precision and recall of policies, estimated from people's decisions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.errors import UnreadableRecord
from pipeline.evaluation.stats.binomial import weighted_share
from pipeline.evaluation.stats.intervals import Interval
from pipeline.evaluation.stats.recall import Recall, estimate_recall, weighted_total
from pipeline.events.decisions import Decision, Ruling
from pipeline.events.records import Record

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DecisionStats:
    """
    Decisions about one policy, counted, with the precision and recall they show.

    `rulings`: number of decisions by ruling. `precision`: share of the decided flags that were upheld, each weighted by
    the number of flags it stands for. `recall` is None unless the decisions have the sampling probabilities of flags
    and audited images.
    """

    policy_id: str
    rulings: Counter[Ruling]
    precision: Interval
    recall: Recall | None

    @property
    def ever_flagged(self) -> bool:
        """True when any decision is about a flag of the policy. Without one, the policy may never have been active."""
        return any(self.rulings[ruling] for ruling in Ruling if ruling.flagged)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with the attributes and the embedding, float16 [D], of its archived image."""

    decision: Decision
    attributes: Mapping[str, str]
    vector: NDArray[np.float16]


def decisions(records: Iterable[Record]) -> Iterator[Decision]:
    """Yield the decisions among a topic's records. A record that cannot be read is logged and left out."""
    for record in records:
        if record.value is None:
            continue
        try:
            yield Decision.parse(record)
        except UnreadableRecord as error:
            log.error("decision_ignored", origin=str(record.origin), problem=error.problem)  # noqa: TRY400 -- the message says all


def latest(given: Iterable[Decision]) -> list[Decision]:
    """Return the last decision in time about each policy and event, in the order of their times."""
    found: dict[tuple[str, str, str], Decision] = {}
    for decision in given:
        before = found.get(decision.about)
        if before is None or decision.time >= before.time:
            found[decision.about] = decision
    return sorted(found.values(), key=lambda each: (each.time, each.about))


def standings(given: Sequence[Decision]) -> list[DecisionStats]:
    """Return the statistics of each policy with decisions, in the order of their ids."""
    by_policy: dict[str, list[Decision]] = {}
    for decision in given:
        by_policy.setdefault(decision.policy, []).append(decision)
    return [_standing(policy_id, by_policy[policy_id]) for policy_id in sorted(by_policy)]


def _standing(policy_id: str, given: Sequence[Decision]) -> DecisionStats:
    flagged = [each for each in given if each.ruling.flagged]
    audited = [each for each in given if not each.ruling.flagged and each.probability is not None]
    right = np.array([each.ruling.right for each in flagged], dtype=bool)
    # A flag without a probability was reviewed because it was flagged, not because it was sampled: its weight is 1.
    weights = np.array([each.weight for each in flagged], dtype=np.float64)
    recall = None
    if audited and all(each.probability is not None for each in flagged):
        recall = _recall(weights, right, audited)
    return DecisionStats(policy_id, Counter(each.ruling for each in given), weighted_share(right, weights), recall)


def _recall(weights: NDArray[np.float64], right: NDArray[np.bool_], audited: Sequence[Decision]) -> Recall:
    """
    Return recall with an interval that also covers the estimate of the true positives, where flags were sampled.

    Each end of the interval is computed from the pessimistic end of the true positives' interval.
    """
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
