"""A new model against the one in use: thresholds fitted again, and the verdicts that flip all the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluate.embed import embed_readable
from pipeline.evaluate.labelled import Confusion, confusion
from pipeline.events.policies import Policy, PolicySet
from pipeline.judge.score import Judge

# Of the images either model flags, the share that both must, for the new one to take over without a look.
LEAST_AGREEMENT = 0.8
MOST_RECALL_LOST = 0.1


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """
    One policy under both models. Files are images whose verdict differs once the threshold was fitted again.

    `old` and `new` count verdicts against labels, None without any. `retune` says why a person must look, or is None.
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
class Comparison:
    """Every policy's change, over the images both models could read."""

    images: int
    unreadable: int
    changes: tuple[PolicyChange, ...]


def compare_models(
    old: Bundle,
    new: Bundle,
    files: Sequence[Path],
    policy_set: PolicySet,
    labels: dict[Path, str],
    about: dict[str, frozenset[str]],
) -> Comparison:
    """
    Judge `files` with both models.

    `labels` gives files their categories and `about` policies the categories they are about; with both, a policy's new
    threshold keeps the precision it had, else it keeps how many images are flagged. Raises `UsageError` when no file
    can be read.
    """
    before, read = _scores(old, files, policy_set)
    after, _ = _scores(new, read, policy_set)
    changes = []
    for place, policy in enumerate(policy_set.policies):
        wanted = about.get(policy.id) if labels else None
        relevant = None if wanted is None else np.array([labels.get(file) in wanted for file in read])
        changes.append(_change(policy, before[:, place], after[:, place], relevant, read))
    return Comparison(len(read), len(files) - len(read), tuple(changes))


def keeping_precision(scores: NDArray[np.float64], relevant: NDArray[np.bool_], precision: float) -> float | None:
    """Return the lowest threshold whose flags are right at least so often, or None when no threshold's are."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    enough = np.flatnonzero(last_of_tie & (hits / np.arange(1, len(scores) + 1) >= precision))
    return _below(scores[order], int(enough[-1])) if len(enough) else None


def keeping_count(scores: NDArray[np.float64], count: int) -> float:
    """Return a threshold that so many scores reach, halfway to the next one."""
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
    kept = None
    if old is not None and relevant is not None and old.precision is not None:
        kept = keeping_precision(after, relevant, old.precision)
    threshold = keeping_count(after, int(flagged.sum())) if kept is None else kept
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
        retune=_why(flagged, now, old, new, reached=kept is not None),
    )


def _why(
    flagged: NDArray[np.bool_], now: NDArray[np.bool_], old: Confusion | None, new: Confusion | None, *, reached: bool
) -> str | None:
    if old is not None and new is not None:
        if old.precision is not None and not reached:
            return f"no threshold keeps its precision of {old.precision:.2f}"
        if old.recall is not None and new.recall is not None and old.recall - new.recall > MOST_RECALL_LOST:
            return f"at its precision it finds {new.recall:.0%} of what it should, {old.recall:.0%} before"
        return None
    either, both = int((flagged | now).sum()), int((flagged & now).sum())
    if either and both / either < LEAST_AGREEMENT:
        return f"of {either} images that either model flags, both flag {both}"
    return None


def _scores(bundle: Bundle, files: Sequence[Path], policy_set: PolicySet) -> tuple[NDArray[np.float64], list[Path]]:
    encoder = LocalEncoder(bundle)
    read, embeds = embed_readable(files, encoder, bundle.pixels)
    return Judge(build_prompt_bank(policy_set, encoder)).judge(embeds.astype(np.float16)).raw, read
