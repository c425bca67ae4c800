"""How policies do on labelled photographs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.evaluate.label_files import Row, place_named, read_csv
from pipeline.evaluate.ranking import average_precision
from pipeline.judge.document import read_document
from pipeline.judge.reports import Reports


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """One photograph and the category it is of."""

    path: Path
    category: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of one policy's yes and no against labels."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """The share of flags that are right; None without a flag."""
        flagged = self.true_positives + self.false_positives
        return self.true_positives / flagged if flagged else None

    @property
    def recall(self) -> float | None:
        """The share of what should be flagged that is; None when nothing should be."""
        wanted = self.true_positives + self.false_negatives
        return self.true_positives / wanted if wanted else None


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One policy on a labelled split. `suggested` is the threshold of the best F1; AP is average precision."""

    policy_id: str
    positives: int
    contrast_ap: float
    similarity_ap: float
    confusion: Confusion
    suggested: float


def read_labels(table: Path, split: str | None) -> list[LabelledFile]:
    """Read `file`, `category` and `split` of a labels.csv. Raises `UsageError`."""
    rows = _rows(table, split, "category")
    return [LabelledFile(place_named(table, row.line, row.values["file"]), row.values["category"]) for row in rows]


def read_rows(table: Path, split: str | None, column: str) -> list[dict[str, str]]:
    """
    Read a labels.csv that has `file`, `column` and `split`: its rows of one split, or all.

    Raises `UsageError` when the table or a column is missing, a row cannot be read, or no row is of the split.
    """
    rows = _rows(table, split, column)
    for row in rows:
        place_named(table, row.line, row.values["file"])
    return [dict(row.values) for row in rows]


def _rows(table: Path, split: str | None, column: str) -> list[Row]:
    if not table.exists():
        raise UsageError(f"`{table}`: not found; it must have the columns file, {column} and split")
    found = read_csv(table)
    if missing := {"file", column, "split"} - set(found.columns):
        raise UsageError(f"`{table}` has no column {', '.join(sorted(missing))}")
    rows = [row for row in found.rows if split is None or row.values["split"] == split]
    if not rows:
        raise UsageError(f"`{table}`: no rows of the split `{split}`")
    return rows


def read_policy_labels(table: Path) -> dict[str, frozenset[str]]:
    """Read which categories each policy is about. Raises `UsageError` with the place of a mistake."""
    if not table.exists():
        raise UsageError(f"`{table}`: not found; it maps policy ids to lists of categories")
    reports = Reports()
    document = read_document(table, reports)
    if document is None or reports:
        raise UsageError(str(reports.error()))
    for policy, categories in document.content.items():
        if not isinstance(categories, list) or not all(isinstance(each, str) for each in categories):
            raise UsageError(document.report((policy,), "a list of categories is expected"))
    return {policy: frozenset(categories) for policy, categories in document.content.items()}


def confusion(flagged: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> Confusion:
    """Count bool [N] answers against bool [N] labels."""
    return Confusion(
        int((flagged & relevant).sum()), int((flagged & ~relevant).sum()), int((~flagged & relevant).sum())
    )


def figures(
    policy_id: str,
    contrast: NDArray[np.float64],
    similarity: NDArray[np.float64],
    flagged: NDArray[np.bool_],
    relevant: NDArray[np.bool_],
) -> PolicyFigures:
    """Return one policy's figures from its scores of both kinds, float64 [N], and labels, bool [N]."""
    return PolicyFigures(
        policy_id,
        int(relevant.sum()),
        average_precision(contrast, relevant),
        average_precision(similarity, relevant),
        confusion(flagged, relevant),
        best_f1_threshold(contrast, relevant),
    )


def best_f1_threshold(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """
    Return the threshold with the highest F1, halfway between the scores it separates.

    A point estimate without a confidence: good enough to start from, to be marked provisional.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(relevant[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + relevant.sum())
    best = int(np.argmax(f1))
    below = scores[order[best + 1]] if best + 1 < len(scores) else scores[order[best]] - 1
    return float((scores[order[best]] + below) / 2)
