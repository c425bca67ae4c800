"""A replay kept, and what got worse since."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import UsageError
from pipeline.evaluation.replay.outcomes import Replayed
from pipeline.evaluation.stats.intervals import Interval
from pipeline.evaluation.stats.paired_tests import PairedChange, holm, mcnemar, precision_change

# The chance of calling any unchanged policy worse, over all of them.
LEVEL = 0.05


class PolicyAnswers(BaseModel):
    """The places of the images that a policy flagged, and of those it was right to flag; places outside its scope."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    flagged: list[int]
    right: list[int]
    out_of_scope: list[int]


class Baseline(BaseModel):
    """What the policies said of a stream: enough to compare a later replay image by image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy_set_digest: str
    model_digest: str
    images: list[str]
    policies: dict[str, PolicyAnswers]

    @classmethod
    def of(cls, replayed: Replayed) -> "Baseline":
        """Keep a replay."""
        answers = {
            policy.id: PolicyAnswers(
                digest=policy.digest,
                flagged=np.flatnonzero(replayed.flagged[:, place]).tolist(),
                right=np.flatnonzero(replayed.right[:, place]).tolist(),
                out_of_scope=np.flatnonzero(~replayed.in_scope[:, place]).tolist(),
            )
            for place, policy in enumerate(replayed.policies)
        }
        ids = [image.id for image in replayed.images]
        return cls(
            policy_set_digest=replayed.policy_set_digest,
            model_digest=replayed.model_digest,
            images=ids,
            policies=answers,
        )

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """Read a kept replay. Raises `UsageError` when it is none."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UsageError(f"`{path}` cannot be read: {error.strerror}; `--save FILE` keeps a replay") from error
        except ValidationError as error:
            raise UsageError(f"`{path}` is no kept replay; `--save FILE` keeps one") from error


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """
    One policy now against then, on the images of both.

    `missed` is of the images that should be flagged, `alarmed` of the others, near-duplicates counted once; their
    p-values are Holm's over all policies. `precision` is its change, its interval so wide that its upper end errs with
    `LEVEL` over all policies (Bonferroni).
    """

    policy_id: str
    images: int
    missed: PairedChange
    alarmed: PairedChange
    precision: Interval

    @property
    def worse(self) -> bool:
        """Whether the policy misses more, alarms more or is less precise, beyond noise."""
        precision = np.isfinite(self.precision.value) and self.precision.upper < 0
        return self.missed.p_value < LEVEL or self.alarmed.p_value < LEVEL or bool(precision)


def compare(before: Baseline, replayed: Replayed) -> list[BaselineComparison]:
    """
    Compare the policies of both, on the images of both, labelled as they are now.

    Raises `UsageError` when they have no image or no policy in common.
    """
    then = {image: place for place, image in enumerate(before.images)}
    pairs = [(place, then[image.id]) for place, image in enumerate(replayed.images) if image.id in then]
    if not pairs:
        raise UsageError("the baseline is of another stream: no image has the same id")
    found = list(_compared(before, replayed, np.array(pairs)))
    if not found:
        raise UsageError("the baseline has none of these policies")
    adjusted = holm(
        {(each.policy_id, kind): getattr(each, kind).p_value for each in found for kind in ("missed", "alarmed")}
    )
    return [
        BaselineComparison(
            each.policy_id,
            each.images,
            PairedChange(each.missed.worsened, each.missed.improved, adjusted[each.policy_id, "missed"]),
            PairedChange(each.alarmed.worsened, each.alarmed.improved, adjusted[each.policy_id, "alarmed"]),
            each.precision,
        )
        for each in found
    ]


def _compared(before: Baseline, replayed: Replayed, pairs: NDArray[np.intp]) -> Iterator[BaselineComparison]:
    now, then = pairs[:, 0], pairs[:, 1]
    clusters = replayed.clusters[now]
    once = np.isin(np.arange(len(now)), np.unique(clusters, return_index=True)[1])
    known = [policy.id for policy in replayed.policies if policy.id in before.policies]
    for place, policy in enumerate(replayed.policies):
        answers = before.policies.get(policy.id)
        if answers is None:
            continue
        flagged_then = np.isin(then, answers.flagged)
        flagged_now, right = replayed.flagged[now, place], replayed.right[now, place]
        yield BaselineComparison(
            policy.id,
            len(now),
            mcnemar(flagged_then[right & once], flagged_now[right & once]),
            mcnemar(~flagged_then[~right & once], ~flagged_now[~right & once]),
            precision_change(flagged_then, flagged_now, right, clusters, 1 - 2 * LEVEL / len(known)),
        )
