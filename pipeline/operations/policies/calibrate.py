"""Calibration: a threshold fitted to the target in its policy, and written next to the policy."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.operations.policies.calibrate_precision import PrecisionFit, PrecisionRefusal, fit_to_precision
from pipeline.operations.policies.calibrate_queue import QueueFit, fit_to_queue
from pipeline.operations.policies.calibration_labels import LabelSource, labels_from_decisions, labels_from_file
from pipeline.operations.policies.fit_subject import FitSubject
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import read_folder
from pipeline.policies.schema import Target


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """
    A policy of a folder, and the data to fit its threshold to.

    A target precision takes `labels`, a labelled stream, or `decisions`, the labels that people gave to archived
    images. `base_rate` is the share of the stream that should be flagged, for labels without probabilities.
    `sequential` fits may be repeated as labels are added. A target queue takes `images` and `images_per_day`.
    """

    folder: Path
    policy_id: str
    labels: Path | None = None
    decisions: bool = False
    split: str | None = None
    base_rate: float | None = None
    sequential: bool = False
    images: Path | None = None
    images_per_day: float | None = None


def fit_threshold(workbench: Workbench, request: CalibrationRequest) -> PrecisionFit | PrecisionRefusal | QueueFit:
    """
    Fit the threshold of a policy and write its calibration; a refusal writes none.

    Raises `UsageError` when the data does not suit the policy's target.
    """
    subject = FitSubject.of(workbench, read_folder(request.folder), request.policy_id)
    _require_data_for(subject.target, request)
    if subject.target.queue is not None:
        return fit_to_queue(workbench, subject, request.folder, request.images, request.images_per_day)
    source = _labels(workbench, subject, request)
    return fit_to_precision(subject, request.folder, source, request.base_rate, sequential=request.sequential)


def _labels(workbench: Workbench, subject: FitSubject, request: CalibrationRequest) -> LabelSource:
    if request.labels is not None:
        return labels_from_file(workbench, subject, request.labels, request.split, request.base_rate)
    return labels_from_decisions(workbench, subject, request.base_rate)


def _require_data_for(target: Target, request: CalibrationRequest) -> None:
    name, has_labels = request.policy_id, request.labels is not None
    if target.queue is not None:
        if has_labels or request.decisions:
            raise UsageError(f"`{name}` is fitted to a queue, which takes images without labels: `--images`")
        return
    if has_labels is request.decisions:
        raise UsageError(f"`{name}` is fitted to {target}, which takes labels: `--labels FILE`, or `--decisions`")
    if request.decisions and request.split is not None:
        raise UsageError("`--split` is of labels in a file; decisions have none")
