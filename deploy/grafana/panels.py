"""Panels of the dashboards as data: a title, a question in PromQL, a unit, and what it says."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lines", "bars", "number", "heatmap", "table"]

# Selects what the variables of a dashboard name.
HERE = 'cluster=~"$cluster",group=~"$group"'
POLICY = f'{HERE},policy=~"$policy"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Query:
    """One expression and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """
    One panel.

    `warn` and `bad` colour values from there on; with `bad` under `warn`, values up to there. `runbook` names the alert
    whose section explains it. `fault` says that a healthy run has no data for it; `hardware` that it needs a GPU.
    """

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "lines"
    width: int = 8
    warn: float | None = None
    bad: float | None = None
    runbook: str = ""
    fault: bool = False
    hardware: bool = False


@dataclass(frozen=True)
class Row:
    """A row of panels under one question."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard: rows from symptom to cause."""

    uid: str
    title: str
    text: str
    rows: tuple[Row, ...]
    by_policy: bool = False

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)


def lines(title: str, text: str, *queries: tuple[str, str], **options: object) -> Panel:
    """Return a panel of lines over time from pairs of an expression and a legend."""
    return Panel(title, text, tuple(Query(*query) for query in queries), **options)  # type: ignore[arg-type]  # by name


def number(title: str, text: str, expr: str, **options: object) -> Panel:
    """Return a panel with the last value of one expression."""
    return Panel(title, text, (Query(expr),), kind="number", width=4, **options)  # type: ignore[arg-type]  # by name


def quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Return the 50th, 95th and 99th percentile of a histogram."""
    return tuple(
        (f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{{{HERE}{by}}}{RATE})))", f"p{round(q * 100)}")
        for q in (0.5, 0.95, 0.99)
    )
