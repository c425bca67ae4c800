"""Archived rows of the examples of a back-test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from pipeline.archive.dataset import Archive
from pipeline.evaluation.backtest.batches import COLUMNS, part_of
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import ChangedImage, Flip

_PICTURE_COLUMNS = ("key", "content", "reference", "thumbnail")


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """An example and its archived row. `thumbnail`: the archive's small JPEG, empty if it has none."""

    image: ChangedImage
    key: str
    content: str
    reference: str
    thumbnail: bytes


def find_changed_rows(
    archive: Archive, model: str, since: datetime, comparison: PolicySetComparison
) -> list[ChangedRow]:
    """
    Return the archived row of each example that a comparison found, by policy, those nearest to the threshold first.

    An event may be archived several times, with different images: a row counts only if the edit flips it and no
    restricted policy of either set flags it.
    """
    wanted: dict[tuple[str, str], list[ChangedImage]] = {}
    for image in comparison.found.examples():
        wanted.setdefault((image.example.source, image.example.event_id), []).append(image)
    columns, ids = [*COLUMNS, *_PICTURE_COLUMNS], {event_id for _, event_id in wanted}
    rows: dict[ChangedImage, ChangedRow] = {}
    for batch in archive.of(model, "event_id", ids, columns, since):
        if batch.num_rows:
            rows |= {row.image: row for row in _rows(batch, comparison, wanted) if row.image not in rows}
    return [rows[image] for image in comparison.found.examples() if image in rows]


def _rows(
    batch: pa.RecordBatch,
    comparison: PolicySetComparison,
    wanted: Mapping[tuple[str, str], Sequence[ChangedImage]],
) -> Iterator[ChangedRow]:
    old, new = comparison.answers(part_of(batch))
    withheld = old.withheld() | new.withheld()
    fields = batch.select(["source", "event_id", *_PICTURE_COLUMNS]).to_pylist()
    for index in (index for index in range(len(fields)) if not withheld[index]):
        row = fields[index]
        for image in wanted.get((row["source"], row["event_id"]), ()):
            flips = (bool(old.flags(image.policy_id)[index]), bool(new.flags(image.policy_id)[index]))
            if flips == ((False, True) if image.flip is Flip.NEWLY_FLAGGED else (True, False)):
                yield ChangedRow(image, row["key"], row["content"], row["reference"] or "", row["thumbnail"] or b"")
