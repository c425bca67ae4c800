"""Pictures of the examples of a back-test."""

from dataclasses import replace
from datetime import datetime

from pipeline.errors import OriginalGone, RecordFault
from pipeline.evaluation.backtest.changed_images import ChangedRow, find_changed_rows
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import ChangedImage
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.originals import Originals
from pipeline.operations.originals import open_originals
from pipeline.operations.workbench import Workbench


def find_changed_images(
    workbench: Workbench, comparison: PolicySetComparison, since: datetime, side: int
) -> tuple[ChangedImage, ...]:
    """
    Return the examples of a comparison with pictures whose longer side is at most `side` pixels.

    Images that a restricted policy flags are left out. Raises `BrokerFault`.
    """
    rows = find_changed_rows(workbench.archive, workbench.bundle.digest, since, comparison)
    if not rows:
        return ()
    with open_originals(workbench.settings) as originals:
        tracked = workbench.progress.track(rows, "fetching pictures", len(rows))
        return tuple(_with_picture(row, originals, side) for row in tracked)


def _with_picture(row: ChangedRow, originals: Originals, side: int) -> ChangedImage:
    """Return an example with a picture made from its original or, if that is gone, with the archive's thumbnail."""
    try:
        picture = thumbnail(originals.fetch(row.key, row.content, row.reference), side)
    except (OriginalGone, RecordFault) as gone:
        return replace(row.image, picture=row.thumbnail or None, problem=str(gone))
    return replace(row.image, picture=picture)
