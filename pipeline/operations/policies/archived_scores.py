"""Scores and flags of archived images by two versions of one policy."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import answers_of
from pipeline.judge.score import Judge
from pipeline.operations.archive_scan import scan_archive
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ArchivedScores:
    """
    Answers about the N archived images in the scope of either version.

    `keys`: their records; `scores`: float64 [N], by the edited version; `before`, `after`: bool [N], flagged by each;
    `withheld`: bool [N], flagged by a restricted policy of either set.
    """

    keys: pa.Array
    scores: NDArray[np.float64]
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    withheld: NDArray[np.bool_]


def score_archive(
    workbench: Workbench, since: datetime, policy_id: str, *, before: Judge, after: Judge
) -> ArchivedScores:
    """
    Judge archived images from `since` on by both versions of a policy; the set before the edit may lack the policy.

    Raises `ArchiveError` when the archive has no images of the workbench's model.
    """
    keys, parts = [], []
    for batch in scan_archive(workbench, ["key", *COLUMNS], since):
        part = part_of(batch)
        new, old = answers_of(after, part), answers_of(before, part)
        column = new.columns[policy_id]
        was, will = old.flags(policy_id), new.flags(policy_id)
        about = new.in_scope[:, column] | was
        withheld = old.withheld() | new.withheld()
        keys.append(batch.column("key").filter(pa.array(about)))
        parts.append((new.scores[about, column], was[about], will[about], withheld[about]))
    if not parts:
        none = np.zeros(0, dtype=bool)
        return ArchivedScores(pa.array([], pa.string()), np.zeros(0), none, none, none)
    scores, was, will, withheld = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ArchivedScores(pa.concat_arrays(keys), scores, was, will, withheld)
