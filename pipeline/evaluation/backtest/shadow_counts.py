"""Shadows against what is in force, counted from verdicts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.stats.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class ShadowCount:
    """
    What a shadow said of the images that both it and the live policy judged, by how the two agree.

    A shadow without a live policy, `against` None, flags only. `margins`: event ids the shadow is alone in flagging,
    those it is surest of first, and ids the live policy is alone in flagging.
    """

    shadow: str
    against: str | None
    images: int
    both: int
    newly_flagged: int
    newly_cleared: int
    examples_flagged: tuple[str, ...]
    examples_cleared: tuple[str, ...]

    @property
    def shadow_share(self) -> Interval:
        """The share of images that the shadow flags, with Wilson's 95 % interval."""
        return wilson(self.both + self.newly_flagged, self.images)

    @property
    def live_share(self) -> Interval:
        """The share of images that the live policy flags, with Wilson's 95 % interval."""
        return wilson(self.both + self.newly_cleared, self.images)


def count_shadows(
    verdicts: Iterable[Mapping[str, Any]],
    pairs: Mapping[str, str | None],
    digests: Mapping[str, str],
    restricted: Collection[str] = (),
    examples: int = 5,
) -> list[ShadowCount]:
    """
    Count what each shadow of `pairs` said beside its live policy, by id.

    Only verdicts by the shadow's digest count: what it said before its last edit is of another policy. What
    one of the `restricted` policies flags is counted and no example.
    """
    tallies = {shadow: _Tally(shadow, live) for shadow, live in pairs.items()}
    for verdict in verdicts:
        said = {each["id"]: each for each in verdict["policies"]}
        withheld = any(each["flagged"] and each["id"] in restricted for each in verdict["policies"])
        for shadow, tally in tallies.items():
            mine = said.get(shadow)
            if mine is not None and mine["digest"] == digests[shadow]:
                named = None if withheld else verdict["event"]["id"]
                tally.add(named, mine, said.get(tally.live) if tally.live else None)
    return [tally.result(examples) for tally in tallies.values()]


class _Tally:
    def __init__(self, shadow: str, live: str | None) -> None:
        self.shadow, self.live = shadow, live
        self.images = self.both = 0
        self.flagged: list[tuple[float, str | None]] = []
        self.cleared: list[tuple[float, str | None]] = []

    def add(self, event_id: str | None, mine: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> None:
        if self.live is not None and theirs is None:
            return
        self.images += 1
        before = bool(theirs and theirs["flagged"])
        self.both += before and mine["flagged"]
        if mine["flagged"] and not before:
            self.flagged.append((mine["score"] - mine["threshold"], event_id))
        if before and not mine["flagged"] and theirs:
            self.cleared.append((theirs["score"] - theirs["threshold"], event_id))

    def result(self, examples: int) -> ShadowCount:
        return ShadowCount(
            self.shadow,
            self.live,
            self.images,
            self.both,
            len(self.flagged),
            len(self.cleared),
            _surest(self.flagged, examples),
            _surest(self.cleared, examples),
        )


def _surest(found: Sequence[tuple[float, str | None]], count: int) -> tuple[str, ...]:
    named = [(margin, event_id) for margin, event_id in found if event_id is not None]
    return tuple(event_id for _, event_id in sorted(named, reverse=True)[:count])
