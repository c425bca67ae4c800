"""Replay report: one HTML page with a table of all policies, and the curve and the worst errors of each."""

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
class Share:
    """A measured share with the ends of its 95 % interval, and all three as `text`."""

    text: str
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Section:
    """
    Section of the report about one policy.

    `rows`: names and values of its figures; `curve`: (recall, precision) at every threshold, the strictest first.
    `measured`: whether the current threshold has a point in the plot, which takes at least one flag and one positive.
    """

    policy_id: str
    title: str
    worse: bool
    threshold: float
    provisional: bool
    flagged: int
    precision: Share
    recall: Share
    measured: bool
    rows: tuple[tuple[str, str], ...]
    curve: tuple[tuple[float, float], ...]
    errors: tuple[ErrorCard, ...]

    @property
    def path(self) -> str:
        """The curve as an SVG path."""
        points = [_place(*point) for point in self.curve]
        return " ".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(points))

    @property
    def point(self) -> tuple[float, float] | None:
        """The point in the plot for the current threshold."""
        return _place(self.recall.value, self.precision.value) if self.measured else None

    @property
    def interval(self) -> str:
        """The 95 % intervals at the current threshold as an SVG path: recall is horizontal, precision vertical."""
        if not self.measured:
            return ""
        left, height = _place(self.recall.lower, self.precision.value)
        right, _ = _place(self.recall.upper, self.precision.value)
        middle, bottom = _place(self.recall.value, self.precision.lower)
        _, top = _place(self.recall.value, self.precision.upper)
        return f"M{left:.1f} {height:.1f}H{right:.1f}M{middle:.1f} {bottom:.1f}V{top:.1f}"


def write_replay_report(
    path: Path, sections: list[Section], *, images: int, notes: list[str], policy_set: str, model: str
) -> None:
    """Write the page, its sections in the order given."""
    write_page(path, TEMPLATE, sections=sections, images=images, notes=notes, policy_set=policy_set, model=model)


def _place(recall: float, precision: float) -> tuple[float, float]:
    return _LEFT + recall * _WIDTH, _TOP + (1 - precision) * _HEIGHT
