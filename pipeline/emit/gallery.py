"""Pictures with lines beneath them as one self-contained HTML page, blurred until clicked."""

from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, select_autoescape

from pipeline.emit.report import breakable

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
        return None if self.thumbnail is None else f"data:image/jpeg;base64,{b64encode(self.thumbnail).decode()}"


def write_gallery(path: Path, tiles: list[Tile], *, title: str, about: str) -> None:
    """Write the page, its tiles in the order given."""
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    environment.filters["breakable"] = breakable
    template = environment.from_string(files("pipeline.emit").joinpath(TEMPLATE).read_text())
    path.write_text(template.render(tiles=tiles, title=title, about=about))
