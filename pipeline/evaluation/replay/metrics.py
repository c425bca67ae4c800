"""Precision, recall and other figures of a policy against labels, with their intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counted import counted
from pipeline.evaluation.replay.outcomes import Replayed
from pipeline.evaluation.stats.average_precision import weighted_average_precision
from pipeline.evaluation.stats.intervals import Interval, Weights, bootstrap, wilson
from pipeline.evaluation.stats.reliability import ReliabilityBin, expected_calibration_error, reliability
from pipeline.events.policies import Policy


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """
    Counts and shares of one policy's answers within its scope.

    `precision` and `recall` have Wilson's 95 % interval. `f1` and `average_precision` have the percentile interval of a
    bootstrap over clusters of near-duplicates. `reliability` compares the probabilities of a calibrated policy with the
    labels; it is empty for other policies. An undefined value, for example precision without a flag, is NaN.
    """

    policy_id: str
    images: int
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: Interval
    recall: Interval
    f1: Interval
    average_precision: Interval
    reliability: tuple[ReliabilityBin, ...] = ()

    def __repr__(self) -> str:
        flagged = counted(self.true_positives + self.false_positives, "image")
        return f"{self.policy_id}: {flagged} flagged, precision {self.precision}, recall {self.recall}"

    @property
    def calibration_error(self) -> float:
        """The expected calibration error of the policy's probabilities; NaN without probabilities."""
        return expected_calibration_error(self.reliability) if self.reliability else float("nan")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Precision and recall at one threshold."""

    threshold: float
    precision: float
    recall: float


def results(replayed: Replayed, among: NDArray[np.bool_] | None = None) -> dict[str, PolicyResult]:
    """Return the result of each labelled policy by its id, on all images or on those `among`, bool [N]."""
    return {policy.id: _result(replayed, index, among) for index, policy in enumerate(replayed.policies)}


def slices(replayed: Replayed, attribute: str) -> dict[str, dict[str, PolicyResult]]:
    """Return the results for each value of an attribute; images without the attribute are left out."""
    values = np.array([image.attributes.get(attribute, "") for image in replayed.images])
    return {str(value): results(replayed, values == value) for value in np.unique(values) if value}


def curve(replayed: Replayed, index: int) -> list[CurvePoint]:
    """Return precision and recall at every threshold that changes them, the strictest first."""
    within = replayed.in_scope[:, index]
    scores, right = replayed.scores[within, index], replayed.right[within, index]
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    total = max(1, int(right.sum()))
    return [
        CurvePoint(float(scores[order[end]]), float(hits[end] / (end + 1)), float(hits[end] / total)) for end in ends
    ]


def worst_errors(replayed: Replayed, index: int, count: int) -> list[int]:
    """Return the indices of the images furthest on the wrong side of a policy's threshold, the furthest first."""
    wrong = (replayed.flagged[:, index] != replayed.right[:, index]) & replayed.in_scope[:, index]
    distance = np.abs(replayed.scores[:, index] - replayed.policies[index].threshold)
    order = np.argsort(-distance, kind="stable")
    return [int(number) for number in order[wrong[order]][:count]]


def _result(replayed: Replayed, index: int, among: NDArray[np.bool_] | None) -> PolicyResult:
    within = replayed.in_scope[:, index] if among is None else replayed.in_scope[:, index] & among
    flagged, right = replayed.flagged[within, index], replayed.right[within, index]
    hits, alarms, misses = int((flagged & right).sum()), int((flagged & ~right).sum()), int((~flagged & right).sum())
    scores, clusters = replayed.scores[within, index], replayed.clusters[within]
    return PolicyResult(
        policy_id=replayed.policies[index].id,
        images=int(within.sum()),
        true_positives=hits,
        false_positives=alarms,
        false_negatives=misses,
        true_negatives=int(within.sum()) - hits - alarms - misses,
        precision=wilson(hits, hits + alarms),
        recall=wilson(hits, hits + misses),
        f1=bootstrap(clusters, lambda weights: _f1(weights, flagged, right)),
        average_precision=bootstrap(clusters, lambda weights: weighted_average_precision(weights, scores, right)),
        reliability=_reliability(replayed.policies[index], scores, right),
    )


def _reliability(policy: Policy, scores: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    curve = policy.calibration.probability if policy.calibration else None
    if curve is None:
        return ()
    return tuple(reliability(np.array([curve.probability(score) for score in scores.tolist()]), right))


def _f1(weights: Weights, flagged: NDArray[np.bool_], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * (weights @ (flagged & right)) / (weights @ flagged + weights @ right))
