"""Fit of a threshold to a precision that labels certify."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.stats.certification import Certified, Labels, Refused, candidates, certify, sorted_by_answer
from pipeline.evaluation.stats.probability_curves import fit_probability
from pipeline.evaluation.stats.supported_precision import Reached, best_supported, highest_reached
from pipeline.operations.policies.calibration_labels import LabelSource
from pipeline.operations.policies.fit_subject import FitSubject
from pipeline.policies.calibration_file import Evidence, WatchedGrid, curve_file
from pipeline.policies.schema import Target


@dataclass(frozen=True, slots=True)
class PrecisionFit:
    """
    A certified threshold, written to `path`.

    `hits` of `flags` labels over it are right, among `labels` of different images. `curve` is the name of the map from
    score to probability, "" where there are too few labels for one; `losses` are the log losses of the curves tried.
    """

    policy_id: str
    target: Target
    threshold: float
    flags: int
    hits: int
    labels: int
    path: Path
    curve: str = ""
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PrecisionRefusal:
    """
    The labels certify no threshold.

    `missing` is the minimum number of additional labels, all of them of true positives, that would certify one.
    `highest` is the highest precision measured at any threshold, None with fewer than ten labels; `supported` is the
    highest that the labels certify, None for none.
    """

    policy_id: str
    target: Target
    reason: str
    missing: int
    highest: Reached | None
    supported: Reached | None


def fit_to_precision(
    subject: FitSubject, folder: Path, source: LabelSource, base_rate: float | None, *, sequential: bool
) -> PrecisionFit | PrecisionRefusal:
    """Certify a threshold on the labels and write its calibration, with a map from score to probability."""
    target, labels = subject.target, source.labels
    assert target.precision is not None
    grid = _grid(subject, folder, labels, sequential=sequential)
    found = certify(labels, target.precision, target.confidence, grid)
    if isinstance(found, Refused):
        return _refusal(subject, labels, found, sequential=grid is not None)
    return _written(subject, folder, source, found, base_rate)


def _refusal(subject: FitSubject, labels: Labels, found: Refused, *, sequential: bool) -> PrecisionRefusal:
    target, everything = subject.target, labels.deduplicated() if sequential else None
    assert target.precision is not None
    return PrecisionRefusal(
        subject.policy.id,
        target,
        reason=found.reason,
        missing=found.missing,
        highest=highest_reached(labels),
        supported=best_supported(labels, target.precision, target.confidence, everything=everything),
    )


def _written(
    subject: FitSubject, folder: Path, source: LabelSource, found: Certified, base_rate: float | None
) -> PrecisionFit:
    different, fitted = source.labels.deduplicated(), fit_probability(source.labels)
    evidence = Evidence(
        labels=len(different.scores),
        right=int(different.positive.sum()),
        flags=found.flags,
        hits=found.hits,
        base_rate=base_rate,
    )
    data_file = os.path.relpath(source.file, folder) if source.file else None
    file = subject.calibration(found.threshold, evidence, data=source.digest, data_file=data_file)
    return PrecisionFit(
        policy_id=subject.policy.id,
        target=subject.target,
        threshold=found.threshold,
        flags=found.flags,
        hits=found.hits,
        labels=evidence.labels,
        path=file.model_copy(update={"probability": curve_file(fitted.curve) if fitted else None}).save(folder),
        curve=type(fitted.curve).__name__.lower() if fitted else "",
        losses=fitted.losses if fitted else {},
    )


def _grid(subject: FitSubject, folder: Path, labels: Labels, *, sequential: bool) -> list[float] | None:
    """
    Return the thresholds that a sequential fit tests, None for a fit that is done once.

    They are stored even when the first fit is refused: thresholds chosen again after a refusal would be chosen by
    looking at the answers.
    """
    stored, target = WatchedGrid.load(folder, subject.policy.id), subject.target
    if stored is None and not sequential:
        return None
    different = labels.deduplicated()
    if sorted_by_answer(different.positive):
        raise UsageError(
            "the labels are sorted by answer; a sequential fit bets on them in the order they were given: "
            "keep that order, and add new ones at the end"
        )
    assert target.precision is not None
    fresh = WatchedGrid(
        prompts=subject.prompts_digest,
        model=subject.bank.model_digest,
        precision=target.precision,
        confidence=target.confidence,
        thresholds=candidates(different, target.precision, target.confidence),
    )
    if stored is not None and stored.same_scores(fresh):
        return stored.thresholds
    if fresh.thresholds:
        fresh.save(folder, subject.policy.id)
    return fresh.thresholds
