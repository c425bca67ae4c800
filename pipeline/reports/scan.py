"""Scan report: one self-contained HTML page with a summary by policy, blurred thumbnails, scores and reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.events.outcomes import DeadLetter, FlagEvent, Verdict
from pipeline.reports.page import jpeg_address, write_page

TEMPLATE = "report.html.jinja"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of one image, and the prompts that explain it."""

    policy_id: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One policy's score of an image; `yes`: it reaches the threshold, also where the policy is in shadow."""

    policy_id: str
    title: str
    score: float
    threshold: float
    yes: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One image of the report. `bars`: the furthest above its threshold first; `error`: the reason for no score."""

    path: str
    picture: str | None
    flags: tuple[Flag, ...]
    bars: tuple[Bar, ...]
    error: str | None

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePath(self.path).name or self.path

    @property
    def first_bars(self) -> tuple[Bar, ...]:
        """The scores that reach their threshold; without one, the score that comes nearest."""
        return tuple(bar for bar in self.bars if bar.yes) or self.bars[:1]

    @property
    def other_bars(self) -> tuple[Bar, ...]:
        """The scores that are shown on request."""
        return tuple(bar for bar in self.bars if bar not in self.first_bars)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The choices of the summary under which the card is shown."""
        policies = tuple(f"policy:{bar.policy_id}" for bar in self.bars if bar.yes)
        return (*policies, "unjudged") if self.error is not None else policies


def verdict_card(verdict: Verdict, thumbnail: bytes | None) -> Card:
    """Return the card of a judged image; `thumbnail` is a JPEG, None if the picture must not be shown."""
    bars = (Bar(policy.id, policy.title, score, policy.threshold, yes) for policy, score, yes in verdict.answers())
    flags = tuple(Flag(flag.policy.id, flag.policy.title, _reason(flag)) for flag in verdict.flags)
    picture = jpeg_address(thumbnail) if thumbnail else None
    strongest_first = tuple(sorted(bars, key=lambda bar: bar.threshold - bar.score))
    return Card(verdict.image.event.origin.topic, picture, flags, strongest_first, None)


def dead_letter_card(letter: DeadLetter) -> Card:
    """Return the card of a file that could not be judged."""
    return Card(letter.record.origin.topic, None, (), (), f"{letter.reason}: {letter.detail}")


@dataclass(frozen=True, slots=True)
class About:
    """A scan: its folder, the number of its files, and the digests of policy set and model."""

    where: str
    images: int
    policy_set: str
    model: str


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """Counts of one policy over the cards of a report. `shadow`: images that reach its threshold without a flag."""

    policy_id: str
    title: str
    threshold: float
    flagged: int
    shadow: int
    highest_below: float | None


@dataclass(frozen=True, slots=True)
class Scale:
    """Range of one policy's bars: the same on every card, so that their lengths can be compared."""

    low: float
    high: float

    def percent(self, value: float) -> str:
        """Return the position of a value on the scale, from 0 to 100."""
        return f"{100 * (value - self.low) / (self.high - self.low):.0f}" if self.high > self.low else "50"


def write_report(path: Path, cards: list[Card], about: About) -> None:
    """Write the page: flagged images first, then files not judged, then the rest, each by distance to a threshold."""
    cards = sorted(cards, key=by_interest)
    flagged = sum(bool(card.flags) for card in cards)
    unjudged = sum(card.error is not None for card in cards)
    write_page(
        path,
        TEMPLATE,
        cards=cards,
        about=about,
        flagged=flagged,
        unjudged=unjudged,
        # A scan keeps its first cards. When the last of them is flagged, so may be others that it did not keep.
        cut=bool(cards) and len(cards) < about.images and bool(cards[-1].flags),
        policies=summaries(cards),
        scales=_scales(cards),
    )


def by_interest(card: Card) -> tuple[int, float]:
    """Return a sort key: flagged, then not judged, then not flagged; within these, by the distance to a threshold."""
    rank = 0 if card.flags else 1 if card.error else 2
    flagging = {flag.policy_id for flag in card.flags}
    bars = [bar for bar in card.bars if bar.policy_id in flagging] or card.bars
    return rank, min((abs(bar.score - bar.threshold) for bar in bars), default=0.0)


def summaries(cards: Sequence[Card]) -> list[PolicySummary]:
    """Return each policy's summary, the one with the most flags first."""
    flagged = [{flag.policy_id for flag in card.flags} for card in cards]
    rows: dict[str, list[tuple[Bar, bool]]] = {}
    for card, flags in zip(cards, flagged, strict=True):
        for bar in card.bars:
            rows.setdefault(bar.policy_id, []).append((bar, bar.policy_id in flags))
    return sorted(map(_summary, rows.values()), key=lambda each: (-each.flagged, -each.shadow, each.policy_id))


def _summary(bars: Sequence[tuple[Bar, bool]]) -> PolicySummary:
    about, _ = bars[0]
    return PolicySummary(
        policy_id=about.policy_id,
        title=about.title,
        threshold=about.threshold,
        flagged=sum(flagged for _, flagged in bars),
        shadow=sum(bar.yes and not flagged for bar, flagged in bars),
        highest_below=max((bar.score for bar, _ in bars if not bar.yes), default=None),
    )


def _scales(cards: Iterable[Card]) -> dict[str, Scale]:
    values: dict[str, set[float]] = {}
    for card in cards:
        for bar in card.bars:
            values.setdefault(bar.policy_id, set()).update((bar.score, bar.threshold))
    return {policy_id: Scale(min(of), max(of)) for policy_id, of in values.items()}


def _reason(flag: FlagEvent) -> str:
    prompts_first = sorted(flag.similarities, key=lambda each: (each.kind != "prompt", -each.similarity))
    return "nearest to " + " and ".join(f"“{each.prompt}”" for each in prompts_first[:2])
