"""The page of a scan shows its content in the stated order, and its paths can be copied."""

import html
import re
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.reports.gallery import Tile, write_gallery
from pipeline.reports.page import breakable, human_time
from pipeline.reports.scan import About, Bar, Card, Flag, by_interest, summaries, write_report


def card(path: str, *bars: tuple[str, float, float], error: str | None = None) -> Card:
    flags = tuple(Flag(policy, policy, "why") for policy, score, threshold in bars if score > threshold)
    return Card(path, None, flags, tuple(Bar(name, name, at, line, at > line) for name, at, line in bars), error)


def page(tmp_path: Path, cards: list[Card], where: str = "uploads", images: int | None = None) -> str:
    about = About(where, len(cards) if images is None else images, "s" * 64, "m" * 64)
    write_report(tmp_path / "r.html", cards, about)
    return (tmp_path / "r.html").read_text()


def test_what_is_nearest_to_a_threshold_comes_first_within_each_kind() -> None:
    cards = [
        card("far above", ("a", 9.0, 1.0)), card("far below", ("a", -9.0, 1.0)), card("just below", ("a", 0.9, 1.0)),
        card("just above", ("a", 1.1, 1.0)), card("broken", error="corrupt"),
        card("above one, far from it", ("a", 5.0, 1.0), ("b", 0.99, 1.0)),
    ]  # fmt: skip
    assert [each.path for each in sorted(cards, key=by_interest)] == [
        "just above", "above one, far from it", "far above", "broken", "just below", "far below"
    ]  # fmt: skip


def test_a_path_can_be_copied_and_still_breaks() -> None:
    path = "/srv/a_b/<img src=x>.jpg"
    marked = str(breakable(path))
    assert "\u200b" not in marked
    assert "<wbr>" in marked
    assert html.unescape(re.sub("<wbr>", "", marked)) == path


def test_a_path_is_text_whatever_is_in_it(tmp_path: Path) -> None:
    text = page(tmp_path, [card("<b>\x1b\u202e\udcff\n&amp;")], where='"><script>x</script>\udcfe')
    assert "<b>" not in text
    assert text.count("<script>") == 1, "the page's own"
    assert "&lt;b&gt;\\x1b\\u202e\\xff\\n&amp;amp;" in text


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        ([], "No images found in /up<wbr>loads."),
        ([card("a", ("p", 0.0, 1.0))], "Nothing flagged. The nearest misses come first below."),
        ([card("a", error="x")], "Nothing flagged.</p>"),
        ([card("a", ("p", 0.0, 1.0)), card("b", error="x")], "come first below, after what could not be judged."),
    ],
)
def test_a_scan_without_flags_says_so(tmp_path: Path, cards: list[Card], told: str) -> None:
    assert told.replace("/up<wbr>", "/<wbr>up") in page(tmp_path, cards, where="/uploads")


def test_the_heading_counts_in_words(tmp_path: Path) -> None:
    assert "<h1>1 of 1 image flagged</h1>" in page(tmp_path, [card("a", ("p", 2.0, 1.0))])
    assert "<h1>0 of 2 images flagged, 1 could not be judged</h1>" in page(tmp_path, [card("a"), card("b", error="x")])


def test_the_summary_counts_flags_by_policy_and_names_the_nearest_miss() -> None:
    """The policy with the most flags comes first; a shadow policy's yes is counted apart."""
    shadow = Card("c", None, (), (Bar("b", "B", 3.0, 1.0, yes=True),), None)
    cards = [
        card("a", ("a", 2.0, 1.0)),
        card("b", ("a", 0.5, 1.0), ("b", 0.0, 1.0)),
        card("d", ("a", 0.7, 1.0)),
        shadow,
    ]
    first, second = summaries(cards)
    assert (first.policy_id, first.flagged, first.shadow, first.highest_below) == ("a", 1, 0, 0.7)
    assert (second.policy_id, second.flagged, second.shadow, second.highest_below) == ("b", 0, 1, 0.0)


def test_a_count_that_the_page_cannot_know_is_a_lower_bound(tmp_path: Path) -> None:
    """A scan keeps its first cards: when all of them are flagged, more images may be."""
    flagged, other = card("a", ("p", 2.0, 1.0)), card("b", ("p", 0.0, 1.0))
    assert "<h1>At least 1 of 9 images flagged</h1>" in page(tmp_path, [flagged], images=9)
    assert "<h1>1 of 9 images flagged</h1>" in page(tmp_path, [flagged, other], images=9)


def test_a_page_names_the_product_its_kind_and_the_time_it_was_made(tmp_path: Path) -> None:
    text = page(tmp_path, [card("a", ("p", 2.0, 1.0))])
    assert re.search(
        r"<strong>Watchword</strong> <span>Scan report</span> <time [^>]+>\d+ \w+ \d{4}, \d\d:\d\d UTC<", text
    )


def test_a_time_reads_as_people_write_it() -> None:
    at = datetime.fromisoformat("2026-11-24T23:46:12.067+01:00")
    assert human_time(at) == human_time(datetime(2026, 11, 24, 22, 46)) == "24 November 2026, 22:46 UTC"  # noqa: DTZ001


def test_a_gallery_of_nothing_says_so_and_a_title_is_text(tmp_path: Path) -> None:
    write_gallery(tmp_path / "g.html", [], title="</title><b>\udcff", about="About.")
    text = (tmp_path / "g.html").read_text()
    assert "No image to show." in text
    assert "<b>" not in text
    write_gallery(tmp_path / "g.html", [Tile("\udcff", None, (("\x1b", 0.5),))], title="t", about="a")
    assert "\\xff" in (tmp_path / "g.html").read_text()


def test_every_attribute_of_the_templates_is_quoted() -> None:
    for template in Path("pipeline").rglob("*.jinja"):
        assert not re.search(r"=\s*\{\{|=\{%", template.read_text().replace("let state = {{ state | tojson }}", "")), (
            template
        )


def test_accents_are_readable_on_dark_and_on_light() -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 or more."""
    style = Path("pipeline/reports/page.html.jinja").read_text()
    light, dark = re.findall(r"--yes: (#[0-9a-f]{6})", style)
    assert _contrast(light, "#ffffff") >= 4.5
    assert _contrast(dark, "#121212") >= 4.5


def _contrast(one: str, other: str) -> float:
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
