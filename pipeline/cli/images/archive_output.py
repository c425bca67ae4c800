"""Output of a search in the archive: a table or JSON lines, and a page of pictures."""

import dataclasses
from pathlib import Path

from pipeline.cli.console import output, plain_table, print_json
from pipeline.counted import counted
from pipeline.events.times import rfc3339
from pipeline.operations.images.pictures import Picture, PictureSource
from pipeline.operations.images.search_archive import ArchiveSearch
from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import human_time

Line = tuple[str, float | None]

_PICTURE_LINES: dict[PictureSource, tuple[Line, ...]] = {
    PictureSource.ORIGINAL: (),
    PictureSource.ARCHIVE: (("the archive's thumbnail; the original is no longer available", None),),
    PictureSource.NONE: (("no picture; the original is no longer available", None),),
}


def print_neighbours(found: ArchiveSearch, output_format: str) -> None:
    """Print the images found, the nearest first."""
    if output_format == "jsonl":
        for each in found.images:
            print_json({**dataclasses.asdict(each), "time": rfc3339(each.time)})
        return
    table = plain_table("cosine", "event", "source", "time", "record")
    for each in found.images:
        table.add_row(f"{each.cosine:.3f}", each.event_id, each.source, rfc3339(each.time), each.key)
    output().print(table)


def write_neighbours(path: Path, found: ArchiveSearch, *, title: str) -> None:
    """Write the page of the images found."""
    tiles = [
        tile(
            each.event_id,
            found.pictures[each.key],
            (f"from {each.source}, {human_time(each.time)}", None),
            ("cosine", each.cosine),
        )
        for each in found.images
    ]
    about = f"The nearest {counted(len(found.images), 'image')} of the archive, model {found.model_digest[:12]}."
    write_gallery(path, tiles, title=title, about=about)


def tile(name: str, picture: Picture, *lines: Line) -> Tile:
    """Return a picture's tile, with a line that says so where the original is no longer available."""
    return Tile(name, picture.jpeg, (*lines, *_PICTURE_LINES[picture.source]))


def withheld_notice(withheld: int) -> str:
    """Return the notice about images that a restricted policy flags."""
    return f"withheld {counted(withheld, 'image')} that a restricted policy flags"
