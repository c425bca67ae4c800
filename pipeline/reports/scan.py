"""A scan as one self-contained HTML page: thumbnails blurred until clicked, scores and reasons."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.reports.page import jpeg_address, write_page

TEMPLATE = "report.html.jinja"


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the report. `bars`: (policy id, score, threshold, said yes), strongest first."""

    path: str
    picture: str | None
    flags: tuple[tuple[str, str, str], ...]
    bars: tuple[tuple[str, float, float, bool], ...]
    error: str | None


def verdict_card(verdict: Verdict, thumbnail: bytes | None) -> Card:
    """Return the card of a judged image; `thumbnail` is a JPEG, None where the picture is not shown."""
    bars = sorted(
        ((policy.id, score, policy.threshold, yes) for policy, score, yes in verdict.answers()),
        key=lambda bar: bar[2] - bar[1],
    )
    flags = tuple(
        (flag.policy.id, flag.policy.title, _reason([s.prompt for s in nearest]))
        for flag in verdict.flags
        for nearest in [sorted(flag.similarities, key=lambda s: (s.kind != "prompt", -s.similarity))[:2]]
    )
    picture = jpeg_address(thumbnail) if thumbnail else None
    return Card(verdict.image.event.origin.topic, picture, flags, tuple(bars), None)


def dead_letter_card(letter: DeadLetter) -> Card:
    """Return the card of a file that could not be judged."""
    return Card(letter.record.origin.topic, None, (), (), f"{letter.reason}: {letter.detail}")


@dataclass(frozen=True, slots=True)
class About:
    """A scan: where it looked, how many files there were, and the digests of policy set and model."""

    where: str
    images: int
    policy_set: str
    model: str


def write_report(path: Path, cards: list[Card], about: About) -> None:
    """Write the page: flagged images first, then files not judged, then the rest, each by distance to a threshold."""
    cards = sorted(cards, key=by_interest)
    flagged = sum(bool(card.flags) for card in cards)
    unjudged = sum(card.error is not None for card in cards)
    write_page(path, TEMPLATE, cards=cards, about=about, flagged=flagged, unjudged=unjudged)


def by_interest(card: Card) -> tuple[int, float]:
    """Sort key: flagged, not judged, not flagged; among flagged and not flagged, the least distance to a threshold."""
    rank = 0 if card.flags else 1 if card.error else 2
    flagging = {policy_id for policy_id, _, _ in card.flags}
    bars = [bar for bar in card.bars if bar[0] in flagging] or card.bars
    return rank, min((abs(score - threshold) for _, score, threshold, _ in bars), default=0.0)


def _reason(prompts: list[str]) -> str:
    return "nearest to " + " and ".join(f"“{prompt}”" for prompt in prompts)
