"""A replay as one HTML page: what every policy does, its curve, and its worst errors."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.reports.page import write_page

TEMPLATE = "replay.html.jinja"
# The plot's frame in the template: left, top, width and height.
_LEFT, _TOP, _WIDTH, _HEIGHT = 40.0, 10.0, 270.0, 190.0


@dataclass(frozen=True, slots=True)
class ErrorCard:
    """An image on the wrong side of the threshold; `picture` is a data address, None where there is no picture."""

    name: str
    picture: str | None
    what: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Section:
    """
    One policy.

    `rows`: names and values of its figures; `curve`: (recall, precision) of every threshold, the strictest first, and
    `here` that of the one in force, None when it flags nothing.
    """

    policy_id: str
    title: str
    worse: bool
    rows: tuple[tuple[str, str], ...]
    curve: tuple[tuple[float, float], ...]
    here: tuple[float, float] | None
    errors: tuple[ErrorCard, ...]

    @property
    def path(self) -> str:
        """The curve as an SVG path."""
        points = [_place(*point) for point in self.curve]
        return " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(points))

    @property
    def point(self) -> tuple[float, float] | None:
        """Where the threshold in force stands in the plot."""
        return None if self.here is None else _place(*self.here)


def write_replay_report(
    path: Path, sections: list[Section], *, images: int, notes: list[str], policy_set: str, model: str
) -> None:
    """Write the page, its sections in the order given."""
    write_page(path, TEMPLATE, sections=sections, images=images, notes=notes, policy_set=policy_set, model=model)


def _place(recall: float, precision: float) -> tuple[float, float]:
    return _LEFT + recall * _WIDTH, _TOP + (1 - precision) * _HEIGHT
