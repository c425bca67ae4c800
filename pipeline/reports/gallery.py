"""Pictures with lines beneath them as one self-contained HTML page, blurred until clicked."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.reports.page import jpeg_address, write_page

TEMPLATE = "gallery.html.jinja"


@dataclass(frozen=True, slots=True)
class Tile:
    """
    One picture: a JPEG, or None where there is none, and lines of text.

    A line's value between 0 and 1 is shown as a number and a bar; None shows the text alone.
    """

    path: str
    thumbnail: bytes | None
    lines: tuple[tuple[str, float | None], ...]

    @property
    def picture(self) -> str | None:
        """The thumbnail as a data address."""
        return None if self.thumbnail is None else jpeg_address(self.thumbnail)


def write_gallery(path: Path, tiles: list[Tile], *, title: str, about: str, kind: str = "Gallery") -> None:
    """Write the page, its tiles in the order given. `kind`: the kind of page, for its head line."""
    measured = any(value is not None for tile in tiles for _, value in tile.lines)
    write_page(path, TEMPLATE, tiles=tiles, title=title, about=about, kind=kind, measured=measured)
