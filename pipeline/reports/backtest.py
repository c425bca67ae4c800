"""Back-test as one HTML page: pictures of the newly flagged and newly cleared images nearest to the threshold."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.evaluation.backtest.result import ChangedImage
from pipeline.reports.gallery import Tile, write_gallery


def write_backtest_gallery(path: Path, images: Sequence[ChangedImage], *, about: str) -> None:
    """Write the page, its images in the order given. Raises `UsageError`."""
    title = "Newly flagged and newly cleared images"
    write_gallery(path, [_tile(image) for image in images], title=title, about=about, kind="Back-test")


def _tile(image: ChangedImage) -> Tile:
    example = image.example
    lines = [
        f"{image.policy_id}: {image.flip}",
        f"{example.margin:.2f} above the threshold",
        f"source {example.source}",
    ]
    if image.problem:
        lines.append(f"the archive's thumbnail: {image.problem}" if image.picture else f"no picture: {image.problem}")
    return Tile(example.event_id, image.picture, tuple((line, None) for line in lines))
