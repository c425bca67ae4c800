"""Comparison of a new model with the current one: refitted thresholds, and verdicts that flip nevertheless."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluation.offline.embed import embed_readable
from pipeline.evaluation.stats.certification import Certified, Labels, certify
from pipeline.evaluation.stats.confusion import Confusion, confusion
from pipeline.events.policies import Policy, PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.model_compatibility import stale_policies
from pipeline.progress import NO_PROGRESS, Progress

# Minimum share of the images flagged by either model that both must flag, or a person must review the policy.
MINIMUM_AGREEMENT = 0.8
MOST_RECALL_LOST = 0.1
HEAD = "its score is a head trained on another model's embeddings; train it again"
UNFIT = "its threshold was not fitted for the old model, so there is nothing to keep"


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """
    One policy under both models. Files are images whose verdict differs after the threshold was refitted.

    `old` and `new` count verdicts against labels; None without labels. `retune` is the reason why a person must review
    the policy, or None.
    """

    policy_id: str
    old_threshold: float
    new_threshold: float
    flagged: int
    newly_flagged: tuple[Path, ...]
    newly_cleared: tuple[Path, ...]
    old: Confusion | None
    new: Confusion | None
    retune: str | None


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """
    Every policy's change, over the images that both models could read.

    `withheld`: images that a restricted policy flags under either model. They must not be shown.
    """

    images: int
    unreadable: int
    changes: tuple[PolicyChange, ...]
    withheld: frozenset[Path]


@dataclass(frozen=True, slots=True)
class Labelling:
    """Categories of all files, and of each policy the categories it is about. Both are empty without labels."""

    categories: Mapping[Path, str] = field(default_factory=dict)
    about: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def relevant(self, policy: Policy, files: Sequence[Path]) -> NDArray[np.bool_] | None:
        """Return which of the files the policy is about, bool [N]; None where that is unknown."""
        wanted = self.about.get(policy.id) if self.categories else None
        return None if wanted is None else np.array([self.categories[file] in wanted for file in files])


NO_LABELS = Labelling()


def compare_models(
    old: Bundle,
    new: Bundle,
    files: Sequence[Path],
    policy_set: PolicySet,
    labelling: Labelling = NO_LABELS,
    progress: Progress = NO_PROGRESS,
) -> ModelComparison:
    """
    Judge `files` with both models.

    With labels, the new threshold of a calibrated policy is certified for its target, and that of another policy keeps
    its precision; without, the threshold keeps the number of flagged images. A policy with a head is not judged: a head
    belongs to one model. Raises `UsageError` when no file can be read or every policy has a head.
    """
    judged = replace(policy_set, policies=tuple(policy for policy in policy_set.policies if policy.head is None))
    if not judged.policies:
        raise UsageError("every policy has a head, which is one model's: train them again on the new one")
    before, read = _scores(old, files, judged, progress)
    after, _ = _scores(new, read, judged, progress)
    unfit = {policy.id for policy in stale_policies(judged, old.lineage)}
    changes = [_headless(policy) for policy in policy_set.policies if policy.head is not None]
    # The flags of a head are unknown here, so a restricted one withholds every image.
    withheld = set(read if any(policy.restricted and policy.head for policy in policy_set.policies) else ())
    for i, policy in enumerate(judged.policies):
        change = _change(policy, before[:, i], after[:, i], labelling.relevant(policy, read), read)
        changes.append(replace(change, retune=UNFIT) if policy.id in unfit else change)
        if policy.restricted:
            flagged = (before[:, i] >= change.old_threshold) | (after[:, i] >= change.new_threshold)
            withheld |= {file for file, each in zip(read, flagged, strict=True) if each}
    ordered = tuple(sorted(changes, key=lambda each: each.policy_id))
    return ModelComparison(len(read), len(files) - len(read), ordered, frozenset(withheld))


def keeping_precision(scores: NDArray[np.float64], relevant: NDArray[np.bool_], precision: float) -> float | None:
    """Return the lowest threshold whose flags have at least `precision`; None when there is none."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    enough = np.flatnonzero(last_of_tie & (hits / np.arange(1, len(scores) + 1) >= precision))
    return _below(scores[order], int(enough[-1])) if len(enough) else None


def keeping_count(scores: NDArray[np.float64], count: int) -> float:
    """Return a threshold that `count` scores reach, halfway to the next score."""
    ordered = np.sort(scores)[::-1]
    if not count:
        return float(ordered[0] + 1)
    return _below(ordered, min(count, len(ordered)) - 1)


def _below(ordered: NDArray[np.float64], last: int) -> float:
    following = ordered[last + 1] if last + 1 < len(ordered) else ordered[last] - 1
    return float((ordered[last] + following) / 2)


def _change(
    policy: Policy,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    relevant: NDArray[np.bool_] | None,
    files: Sequence[Path],
) -> PolicyChange:
    flagged = before >= policy.threshold
    old = None if relevant is None else confusion(flagged, relevant)
    fitted = _Fitted(None, None) if relevant is None else _fit(policy, after, relevant, old)
    threshold = keeping_count(after, int(flagged.sum())) if fitted.threshold is None else fitted.threshold
    now = after >= threshold
    new = None if relevant is None else confusion(now, relevant)
    return PolicyChange(
        policy_id=policy.id,
        old_threshold=policy.threshold,
        new_threshold=threshold,
        flagged=int(flagged.sum()),
        newly_flagged=tuple(files[i] for i in np.flatnonzero(now & ~flagged).tolist()),
        newly_cleared=tuple(files[i] for i in np.flatnonzero(flagged & ~now).tolist()),
        old=old,
        new=new,
        retune=fitted.refused or _review_reason(flagged, now, old, new),
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A threshold that keeps a policy's target, or the reason why there is none; neither without a target."""

    threshold: float | None
    refused: str | None


def _fit(policy: Policy, after: NDArray[np.float64], relevant: NDArray[np.bool_], old: Confusion | None) -> _Fitted:
    calibration = policy.calibration
    if calibration is not None and calibration.precision is not None and calibration.confidence is not None:
        labels = Labels(after, relevant, np.ones(len(after)), np.arange(len(after)))
        found = certify(labels, calibration.precision, calibration.confidence)
        if isinstance(found, Certified):
            return _Fitted(found.threshold, None)
        nearest = keeping_precision(after, relevant, calibration.precision)
        return _Fitted(nearest, f"its target of {calibration.precision:.2f} is not certified: {found.reason}")
    if old is None or old.precision is None:
        return _Fitted(None, None)
    kept = keeping_precision(after, relevant, old.precision)
    return _Fitted(kept, None if kept is not None else f"no threshold keeps its precision of {old.precision:.2f}")


def _headless(policy: Policy) -> PolicyChange:
    return PolicyChange(policy.id, policy.threshold, policy.threshold, 0, (), (), None, None, HEAD)


def _review_reason(
    flagged: NDArray[np.bool_], now: NDArray[np.bool_], old: Confusion | None, new: Confusion | None
) -> str | None:
    if not flagged.any():
        return "the old model flags none of these images, so there is nothing to fit a threshold to"
    if old is not None and new is not None:
        if old.recall is not None and new.recall is not None and old.recall - new.recall > MOST_RECALL_LOST:
            return f"at its precision it finds {new.recall:.0%} of what it should, {old.recall:.0%} before"
        return None
    either, both = int((flagged | now).sum()), int((flagged & now).sum())
    if either and both / either < MINIMUM_AGREEMENT:
        return f"of {either} images that either model flags, both flag {both}"
    return None


def _scores(
    bundle: Bundle, files: Sequence[Path], policy_set: PolicySet, progress: Progress
) -> tuple[NDArray[np.float64], list[Path]]:
    encoder = LocalEncoder(bundle)
    tracked = progress.track(files, f"judging with {bundle.manifest.name}", len(files))
    read, embeds = embed_readable(tracked, encoder, bundle.pixels)
    return Judge(build_prompt_bank(policy_set, encoder)).judge(embeds.astype(np.float16)).raw, read
