"""`watchword policies calibrate`: a threshold that its evidence supports, written beside the policy."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.broker.reader import read_topics
from pipeline.commands.archive import open_archive
from pipeline.commands.console import output, progress_output
from pipeline.commands.extras import models_extra
from pipeline.commands.in_process import InProcess
from pipeline.counted import counted, plural
from pipeline.errors import UsageError
from pipeline.evaluate.calibrate import labels_of, queue_threshold
from pipeline.evaluate.certify import Certified, Labels, candidates, certify, sorted_by_answer
from pipeline.evaluate.labelled_stream import POLICY_LABELS, LabelledStream, labels_file, read_stream
from pipeline.evaluate.near_duplicates import difference_hash
from pipeline.evaluate.replay import collect
from pipeline.evaluate.supported import best_supported, highest_reached
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.policies import Policy, PolicySet
from pipeline.ingest.folder import list_files, read_events, read_files
from pipeline.judge.calibration import CalibrationFile, Evidence, WatchedGrid, curve_file, file_digest, prompts_digest
from pipeline.judge.load import PolicyFolder, read_folder, threshold_of
from pipeline.judge.policy import policy_named
from pipeline.judge.schema import Target
from pipeline.judge.score import Judge
from pipeline.settings import Settings, load_settings
from pipeline.stream.topics import connection_of

DAY_S = 86_400.0


def run_calibrate(
    folder: Path,
    policy_id: str,
    *,
    labels: Path | None,
    split: str | None,
    base_rate: float | None,
    watched: bool,
    images: Path | None,
    per_day: float | None,
    decisions: bool = False,
) -> int:
    """Fit a policy's threshold and write its calibration; return 1 when the labels do not support one."""
    policies = read_folder(folder)
    chosen = _Chosen.of(policies, policy_id)
    if chosen.target.queue is not None:
        if labels is not None or decisions:
            raise UsageError(f"`{policy_id}` is fitted to a queue, which takes images without labels: `--images`")
        return _to_queue(folder, chosen, images, per_day)
    if (labels is None) is not decisions:
        raise UsageError(
            f"`{policy_id}` is fitted to {chosen.target}, which takes labels: `--labels FILE`, or `--decisions`"
        )
    if decisions and split is not None:
        raise UsageError("`--split` is of labels in a file; decisions have none")
    given = _of_file(chosen, labels, split, base_rate) if labels is not None else _of_decisions(chosen, base_rate)
    return _to_precision(folder, chosen, given, base_rate, watched=watched)


@dataclass(frozen=True)
class _Chosen:
    """The policy to fit, in its set, and what to fit it to."""

    policy: Policy
    policy_set: PolicySet
    target: Target

    @cached_property
    def judged(self) -> InProcess:
        """The model of the settings with the set, ready to judge."""
        return InProcess(self.policy_set)

    @classmethod
    def of(cls, policies: PolicyFolder, policy_id: str) -> "_Chosen":
        policy_set = policies.scores_only()
        policy = policy_named(policy_set, policy_id)
        target = threshold_of(policies, policy_id).target
        if target is not None:
            return cls(policy, policy_set, target)
        raise UsageError(
            f"the threshold of `{policy_id}` is a number; write what to fit one to, "
            "`threshold: { precision: 0.95 }` or `threshold: { queue: 200/day }`"
        )

    def file(self, threshold: float, evidence: Evidence, *, data: str, data_file: str | None) -> CalibrationFile:
        queue = self.target.queue
        return CalibrationFile(
            policy=self.policy.id,
            threshold=threshold,
            precision=self.target.precision,
            confidence=self.target.confidence if queue is None else None,
            queue=queue,
            evidence=evidence,
            probability=None,
            prompts=prompts_digest(self.policy, self.policy_set.background),
            model=self.judged.bank.model_digest,
            data=data,
            data_file=data_file,
            fitted_at=datetime.now(UTC).replace(microsecond=0),
        )


@dataclass(frozen=True)
class _Given:
    """Labels, the digest of what they were read from, and the file that was, where it was one."""

    labels: Labels
    digest: str
    file: Path | None


def _of_file(chosen: _Chosen, path: Path, split: str | None, base_rate: float | None) -> _Given:
    where = labels_file(path)
    return _Given(_labels(chosen, read_stream(where, split), base_rate), file_digest(where), where)


def _of_decisions(chosen: _Chosen, base_rate: float | None) -> _Given:
    """Read what people decided about the policy, with the embeddings that are archived of it."""
    bank = chosen.judged.bank
    archive = open_archive()
    from pipeline.commands.decided_labels import read_decided
    from pipeline.evaluate.decided import decided_labels

    found = read_decided(archive, bank.model_digest, {chosen.policy.id})
    told = "\n".join(each.decision.model_dump_json() for each in found)
    labels = decided_labels(found, Judge(bank), chosen.policy.id, base_rate)
    return _Given(labels, hashlib.sha256(told.encode()).hexdigest(), None)


@dataclass
class _Seen:
    """The hash of every image that could be judged, as its verdict comes by."""

    hashes: list[NDArray[np.bool_]] = field(default_factory=list)

    def passing(self, outcomes: Iterator[Verdict | DeadLetter]) -> Iterator[Verdict | DeadLetter]:
        for outcome in outcomes:
            if isinstance(outcome, Verdict):
                self.hashes.append(difference_hash(outcome.image.picture.pixels))
            yield outcome


def _to_precision(folder: Path, chosen: _Chosen, source: _Given, base_rate: float | None, *, watched: bool) -> int:
    given, target, console = source.labels, chosen.target, output()
    assert target.precision is not None
    grid = _grid(folder, chosen, given, watched=watched)
    found = certify(given, target.precision, target.confidence, grid)
    once = given.once()
    if not isinstance(found, Certified):
        console.print(f"`{chosen.policy.id}`: no threshold has {target}: {found.reason}")
        console.print(_next_best(given, target, watched=grid is not None))
        console.print(
            f"at least {found.missing} more {plural(found.missing, 'label')} of flagged images, all right, "
            "would show one"
        )
        return 1
    evidence = Evidence(
        labels=len(once.scores),
        right=int(once.right.sum()),
        flags=found.flags,
        hits=found.hits,
        base_rate=base_rate,
    )
    where = os.path.relpath(source.file, folder) if source.file else None
    file = chosen.file(found.threshold, evidence, data=source.digest, data_file=where)
    with models_extra("calibrate"):
        from pipeline.evaluate.probability import fit_probability
    fitted = fit_probability(given)
    if fitted is not None:
        told = ", ".join(f"{name} {loss:.4f}" for name, loss in fitted.losses.items())
        console.print(f"probability: {type(fitted.curve).__name__.lower()} (log loss on unseen labels: {told})")
    curve = curve_file(fitted.curve) if fitted else None
    saved = file.model_copy(update={"probability": curve}).save(folder)
    console.print(
        f"`{chosen.policy.id}`: threshold {found.threshold:.4f} has {target}: {found.hits} of "
        f"{counted(found.flags, 'label')} over it are right, of {evidence.labels} of different images; "
        f"written to {saved}"
    )
    return 0


def _next_best(given: Labels, target: Target, *, watched: bool) -> str:
    """Return the highest precision that was measured, and the highest that the labels support."""
    assert target.precision is not None
    highest = highest_reached(given)
    supported = best_supported(given, target.precision, target.confidence, everything=given.once() if watched else None)
    reached = (
        f"{highest.precision:.2f} ({highest.hits} of {counted(highest.flags, 'label')}) at {highest.threshold:.3f}"
        if highest
        else "not known, with fewer than ten labels"
    )
    best = f"{supported.precision:.2f} at {supported.threshold:.3f}" if supported else "none yet"
    return f"highest precision of a threshold: measured {reached}; supported {best}"


def _grid(folder: Path, chosen: _Chosen, given: Labels, *, watched: bool) -> list[float] | None:
    """
    Return the thresholds to test when a policy is fitted under watch, None when it is not.

    They are kept whatever comes of the first fit: chosen anew at each refusal, they would be chosen by looking.
    """
    before, target = WatchedGrid.load(folder, chosen.policy.id), chosen.target
    if before is None and not watched:
        return None
    if sorted_by_answer(given.once().right):
        raise UsageError(
            "the labels are sorted by answer; fits under watch bet on them in the order they were given: "
            "keep that order, and add new ones at the end"
        )
    assert target.precision is not None
    fresh = WatchedGrid(
        prompts=prompts_digest(chosen.policy, chosen.policy_set.background),
        model=chosen.judged.bank.model_digest,
        precision=target.precision,
        confidence=target.confidence,
        thresholds=candidates(given.once(), target.precision, target.confidence),
    )
    if before is not None and before.same_scores(fresh):
        return before.thresholds
    if fresh.thresholds:
        fresh.save(folder, chosen.policy.id)
    return fresh.thresholds


def _labels(chosen: _Chosen, stream: LabelledStream, base_rate: float | None) -> Labels:
    if chosen.policy.id not in stream.policies:
        raise UsageError(f"the labels do not speak of `{chosen.policy.id}`; see `policies`, or {POLICY_LABELS}")
    seen = _Seen()
    outcomes = chosen.judged.outcomes([image.event for image in stream.images], read_events)
    replayed = collect(stream, seen.passing(outcomes))
    place = next(i for i, policy in enumerate(replayed.policies) if policy.id == chosen.policy.id)
    return labels_of(replayed, place, seen.hashes, base_rate)


def _to_queue(folder: Path, chosen: _Chosen, images: Path | None, per_day: float | None) -> int:
    if images is None:
        scores, per_day = _scores_of_stream(chosen, per_day)
        data = "the stream's embeddings"
    elif per_day is None:
        raise UsageError("`--per-day N`: how many images a day the stream has; what a queue takes depends on it")
    else:
        scores, data = _scores_of_files(chosen, images), str(images)
    threshold, flags = queue_threshold(scores, per_day, chosen.target.per_day)
    evidence = Evidence(labels=0, right=0, flags=flags, hits=0, images_per_day=per_day)
    saved = chosen.file(threshold, evidence, data=data, data_file=None).save(folder)
    output().print(
        f"`{chosen.policy.id}`: threshold {threshold:.4f} flags {flags} of {counted(len(scores), 'image')}, "
        f"{chosen.target}; provisional until there are labels; written to {saved}"
    )
    return 0


def _scores_of_files(chosen: _Chosen, images: Path) -> NDArray[np.float64]:
    place = chosen.policy_set.policies.index(chosen.policy)
    outcomes = chosen.judged.outcomes(list_files([images]), read_files)
    scores = [outcome.scores[place] for outcome in outcomes if isinstance(outcome, Verdict)]
    if not scores:
        raise UsageError(f"`{images}`: no image that can be judged")
    return np.array(scores)


def _scores_of_stream(chosen: _Chosen, per_day: float | None) -> tuple[NDArray[np.float64], float]:
    """Return the scores of what the embeddings' topic still has, and how many images a day there were."""
    settings = load_settings(Settings)
    bank = chosen.judged.bank
    rows, times = [], []
    for record in read_topics(connection_of(settings), [settings.topic_embeddings]):
        headers = dict(record.headers)
        if (headers.get("model-digest") or b"").decode() == bank.model_digest:
            rows.append(np.frombuffer(record.value or b"", "<f2"))
            times.append(datetime.fromisoformat(headers["ce_time"].decode()).timestamp())
    if not rows:
        raise UsageError(f"`{settings.topic_embeddings}` has no embeddings of this model; give `--images FOLDER`")
    days = (max(times) - min(times)) / DAY_S
    if per_day is None and days < 1:
        raise UsageError(
            f"`{settings.topic_embeddings}` spans {days * 24:.1f} hours, too few to know a day by; give `--per-day N`"
        )
    progress_output().print(f"{counted(len(rows), 'embedding')} of {days:.1f} days")
    place = chosen.policy_set.policies.index(chosen.policy)
    return Judge(bank).judge(np.stack(rows)).raw[:, place], per_day or len(rows) / days
