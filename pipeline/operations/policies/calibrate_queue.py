"""Fit of a threshold to the length of a queue, from images without labels."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.broker.reader import read_topics
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.calibration.queue import queue_threshold
from pipeline.events.outcomes import Verdict
from pipeline.ingest.folder import list_files, read_files
from pipeline.judge.score import Judge
from pipeline.operations.policies.fit_subject import FitSubject
from pipeline.operations.workbench import Workbench
from pipeline.policies.calibration_file import Evidence
from pipeline.policies.schema import Target

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class QueueFit:
    """A threshold that flags `flags` of `images`, written to `path`."""

    policy_id: str
    target: Target
    threshold: float
    flags: int
    images: int
    path: Path


@dataclass(frozen=True, slots=True)
class _Sample:
    """Scores of a plain sample of the stream, float64 [N], and the stream's images a day."""

    scores: NDArray[np.float64]
    images_per_day: float
    data: str


def fit_to_queue(
    workbench: Workbench, subject: FitSubject, folder: Path, images: Path | None, images_per_day: float | None
) -> QueueFit:
    """
    Fit the threshold to a sample of the stream and write its calibration.

    The sample is the folder `images`, or the embeddings' topic where that is None. Raises `UsageError` when the sample
    is too small.
    """
    if images is None:
        sample = _sample_of_stream(workbench, subject, images_per_day)
    elif images_per_day is None:
        raise UsageError("give `--per-day N`, the stream's images a day: the threshold of a queue depends on it")
    else:
        sample = _Sample(_scores_of_files(workbench, subject, images), images_per_day, str(images))
    threshold, flags = queue_threshold(sample.scores, sample.images_per_day, subject.target.per_day)
    evidence = Evidence(labels=0, right=0, flags=flags, hits=0, images_per_day=sample.images_per_day)
    path = subject.calibration(threshold, evidence, data=sample.data, data_file=None).save(folder)
    return QueueFit(subject.policy.id, subject.target, threshold, flags, len(sample.scores), path)


def _scores_of_files(workbench: Workbench, subject: FitSubject, images: Path) -> NDArray[np.float64]:
    outcomes = workbench.outcomes(subject.bank, list_files([images]), read_files)
    scores = [outcome.scores[subject.index] for outcome in outcomes if isinstance(outcome, Verdict)]
    if not scores:
        raise UsageError(f"`{images}`: no image that can be judged")
    return np.array(scores)


def _sample_of_stream(workbench: Workbench, subject: FitSubject, images_per_day: float | None) -> _Sample:
    """Score the embeddings that are still on their topic. If `images_per_day` is None, estimate it from their times."""
    topic = workbench.settings.topic_embeddings
    vectors, times = [], []
    for record in read_topics(workbench.connection, [topic]):
        headers = dict(record.headers)
        if (headers.get("model-digest") or b"").decode() == subject.bank.model_digest:
            vectors.append(np.frombuffer(record.value or b"", "<f2"))
            times.append(datetime.fromisoformat(headers["ce_time"].decode()).timestamp())
    if not vectors:
        raise UsageError(f"`{topic}` has no embeddings of this model; give `--images FOLDER`")
    days = (max(times) - min(times)) / DAY_S
    if images_per_day is None and days < 1:
        raise UsageError(f"`{topic}` spans {days * 24:.1f} hours, too few to know a day by; give `--per-day N`")
    workbench.progress.notify(f"{counted(len(vectors), 'embedding')} of {days:.1f} days")
    scores = Judge(subject.bank).judge(np.stack(vectors)).raw[:, subject.index]
    return _Sample(scores, images_per_day or len(vectors) / days, "the stream's embeddings")
