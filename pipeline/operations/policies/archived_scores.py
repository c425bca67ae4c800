"""What two versions of one policy say of everything archived."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import answers_of
from pipeline.judge.score import Judge
from pipeline.operations.scanned import scanned


@dataclass(frozen=True)
class ArchivedScores:
    """
    Of the images in either version's scope, N of them.

    `keys`: their records; `scores`: float64 [N], by the edited version; `before`, `after`: bool [N], flagged by each;
    `withheld`: bool [N], flagged by a restricted policy of either set.
    """

    keys: pa.Array
    scores: NDArray[np.float64]
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    withheld: NDArray[np.bool_]


def score_archive(
    archive: Archive, model: str, since: datetime, policy_id: str, *, before: Judge, after: Judge
) -> ArchivedScores:
    """Judge everything archived since then by both versions, with progress; before, there may be no such policy."""
    keys, columns = [], []
    for batch in scanned(archive, model, ["key", *COLUMNS], since):
        part = part_of(batch)
        said, told = answers_of(after, part), answers_of(before, part)
        place = said.places[policy_id]
        was, will = told.flags(policy_id), said.flags(policy_id)
        kept = told.withheld() | said.withheld()
        about = said.in_scope[:, place] | was
        keys.append(batch.column("key").filter(pa.array(about)))
        columns.append((said.scores[about, place], was[about], will[about], kept[about]))
    if not columns:
        empty = np.zeros(0, dtype=bool)
        return ArchivedScores(pa.array([], pa.string()), np.zeros(0), empty, empty, empty)
    scores, was, will, kept = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return ArchivedScores(pa.concat_arrays(keys), scores, was, will, kept)
