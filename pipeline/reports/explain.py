"""Explanation of a flag as one self-contained HTML page: the picture, and the share of each text in the score."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.reports.page import write_page

TEMPLATE = "explain.html.jinja"


@dataclass(frozen=True, slots=True)
class Text:
    """One text of the score: its `side` (prompt, contrast or background), its cosine, and its share of that side."""

    side: str
    text: str
    similarity: float
    share: float


@dataclass(frozen=True, slots=True)
class FlagPage:
    """
    Values of the page.

    `picture`: a data address, None where it is `missing` for the reason given. `texts`: in the order shown; `more`:
    number of texts that are not shown. `differences`: empty where recomputation confirms the flag.
    """

    title: str
    policy_id: str
    event_id: str
    source: str
    score: float
    threshold: float
    picture: str | None
    missing: str
    texts: tuple[Text, ...]
    more: int
    differences: tuple[str, ...]
    policy_set: str
    model: str


def write_flag_page(path: Path, page: FlagPage) -> None:
    """Write the page, readable by its owner only. Raises `UsageError`."""
    write_page(path, TEMPLATE, page=page)
