"""Baselines: answers of an earlier replay, and the policies that got worse since then."""

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

# The probability of calling any unchanged policy worse, over all policies together.
LEVEL = 0.05


class PolicyAnswers(BaseModel):
    """Indices of the images that a policy flagged, of those that it should flag, and of those outside its scope."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    flagged: list[int]
    right: list[int]
    out_of_scope: list[int]


class Baseline(BaseModel):
    """The policies' answers on a stream, enough to compare a later replay image by image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy_set_digest: str
    model_digest: str
    images: list[str]
    policies: dict[str, PolicyAnswers]

    @classmethod
    def of(cls, replayed: Replayed) -> "Baseline":
        """Return the answers of a replay as a baseline."""
        answers = {
            policy.id: PolicyAnswers(
                digest=policy.digest,
                flagged=np.flatnonzero(replayed.flagged[:, index]).tolist(),
                right=np.flatnonzero(replayed.right[:, index]).tolist(),
                out_of_scope=np.flatnonzero(~replayed.in_scope[:, index]).tolist(),
            )
            for index, policy in enumerate(replayed.policies)
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
        """Read a baseline file. Raises `UsageError` when the file cannot be read or is not a baseline."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UsageError(f"`{path}` cannot be read: {error.strerror}; `--save FILE` writes one") from error
        except ValidationError as error:
            raise UsageError(f"`{path}` is not a saved replay; `--save FILE` writes one") from error


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """
    One policy in this replay against the baseline, on the images of both.

    `missed`: change among the images that should be flagged; `alarmed`: among the others. Near-duplicates are counted
    once, and p-values are adjusted over all policies (Holm 1979). `precision`: its change, with an interval whose upper
    end is wrong with probability `LEVEL` over all policies (Bonferroni).
    """

    policy_id: str
    images: int
    missed: PairedChange
    alarmed: PairedChange
    precision: Interval

    @property
    def worse(self) -> bool:
        """True when the policy misses more, raises more false alarms or is less precise, beyond noise."""
        precision = np.isfinite(self.precision.value) and self.precision.upper < 0
        return self.missed.p_value < LEVEL or self.alarmed.p_value < LEVEL or bool(precision)


def compare(before: Baseline, replayed: Replayed) -> list[BaselineComparison]:
    """
    Compare the policies of a baseline and a replay on the images of both, by the replay's labels.

    Raises `UsageError` when the two have no image or no policy in common.
    """
    then = {image: number for number, image in enumerate(before.images)}
    pairs = [(number, then[image.id]) for number, image in enumerate(replayed.images) if image.id in then]
    if not pairs:
        raise UsageError("the baseline belongs to another stream: no image id occurs in both")
    found = list(_compared(before, replayed, np.array(pairs)))
    if not found:
        raise UsageError("the baseline contains none of these policies")
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
    for index, policy in enumerate(replayed.policies):
        answers = before.policies.get(policy.id)
        if answers is None:
            continue
        flagged_then = np.isin(then, answers.flagged)
        flagged_now, right = replayed.flagged[now, index], replayed.right[now, index]
        yield BaselineComparison(
            policy.id,
            len(now),
            mcnemar(flagged_then[right & once], flagged_now[right & once]),
            mcnemar(~flagged_then[~right & once], ~flagged_now[~right & once]),
            precision_change(flagged_then, flagged_now, right, clusters, 1 - 2 * LEVEL / len(known)),
        )
