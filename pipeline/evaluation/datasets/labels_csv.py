"""Labelled photographs: a table of files by category, and the categories of each policy."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.label_files import Row, path_named, read_csv
from pipeline.policies.diagnostics import Diagnostics
from pipeline.policies.document import read_document


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A photograph and its category."""

    path: Path
    category: str


def read_labels(table: Path, split: str | None) -> list[LabelledFile]:
    """Read `file`, `category` and `split` of a labels.csv. Raises `UsageError`."""
    rows = _rows(table, split, "category")
    return [LabelledFile(path_named(table, row.line, row.values["file"]), row.values["category"]) for row in rows]


def read_rows(table: Path, split: str | None, column: str) -> list[dict[str, str]]:
    """
    Read the rows of one split, or all, of a labels.csv with the columns `file`, `column` and `split`.

    Raises `UsageError` when the table or a column is missing, a row cannot be read, or the split has no rows.
    """
    rows = _rows(table, split, column)
    for row in rows:
        path_named(table, row.line, row.values["file"])
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
    """Read the categories of each policy. Raises `UsageError` with the position of a mistake."""
    if not table.exists():
        raise UsageError(f"`{table}`: not found; it maps policy ids to lists of categories")
    diagnostics = Diagnostics()
    document = read_document(table, diagnostics)
    if document is None or diagnostics:
        raise UsageError(str(diagnostics.summary()))
    for policy, categories in document.content.items():
        if not isinstance(categories, list) or not all(isinstance(each, str) for each in categories):
            raise UsageError(document.report((policy,), "a list of categories is expected"))
    return {policy: frozenset(categories) for policy, categories in document.content.items()}
