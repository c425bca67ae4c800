"""A scan as one self-contained HTML page: thumbnails blurred until clicked, scores and reasons."""

import re
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, select_autoescape

from pipeline.events.outcomes import DeadLetter, Verdict

TEMPLATE = "report.html.jinja"


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the report. `bars`: (policy id, score, threshold, said yes), strongest first."""

    path: str
    picture: str | None
    flags: tuple[tuple[str, str, str], ...]
    bars: tuple[tuple[str, float, float, bool], ...]
    error: str | None


def verdict_card(verdict: Verdict, thumbnail: bytes) -> Card:
    """Return the card of a judged image; `thumbnail` is a JPEG."""
    bars = sorted(
        ((policy.id, score, policy.threshold, yes) for policy, score, yes in verdict.answers()),
        key=lambda bar: bar[2] - bar[1],
    )
    flags = tuple(
        (flag.policy.id, flag.policy.title, _reason([s.prompt for s in nearest]))
        for flag in verdict.flags
        for nearest in [sorted(flag.similarities, key=lambda s: (s.kind != "prompt", -s.similarity))[:2]]
    )
    data = f"data:image/jpeg;base64,{b64encode(thumbnail).decode()}"
    return Card(verdict.image.event.origin.topic, data, flags, tuple(bars), None)


def dead_letter_card(letter: DeadLetter) -> Card:
    """Return the card of a file that could not be judged."""
    return Card(letter.record.origin.topic, None, (), (), f"{letter.reason}: {letter.detail}")


def write_report(path: Path, cards: list[Card], *, images: int, policy_set: str, model: str) -> None:
    """Write the page: flagged images first, then those not judged, then the rest by how near they came."""
    cards = sorted(cards, key=by_interest)
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    environment.filters["breakable"] = breakable
    template = environment.from_string(files("pipeline.emit").joinpath(TEMPLATE).read_text())
    flagged = sum(bool(card.flags) for card in cards)
    unjudged = sum(card.error is not None for card in cards)
    path.write_text(
        template.render(
            cards=cards, images=images, flagged=flagged, unjudged=unjudged, policy_set=policy_set, model=model
        )
    )


def by_interest(card: Card) -> tuple[int, float]:
    """Sort key: flagged, then not judged, then by how near the strongest score is to its threshold."""
    rank = 0 if card.flags else 1 if card.error else 2
    return rank, card.bars[0][2] - card.bars[0][1] if card.bars else 0.0


def breakable(text: str) -> str:
    """Let a long id or path break after its separators and nowhere else."""
    return re.sub(r"([/._-])", "\\1\u200b", text)


def _reason(prompts: list[str]) -> str:
    return "nearest to " + " and ".join(f"“{prompt}”" for prompt in prompts)
