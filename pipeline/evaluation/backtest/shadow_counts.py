"""Comparison of shadow policies with live ones, counted from verdicts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.stats.intervals import Interval, wilson
from pipeline.events.wire.verdict import PolicyAnswer, VerdictRecord


@dataclass(frozen=True, slots=True)
class ShadowCount:
    """
    Numbers of images that a shadow and its live policy both judged, by their agreement.

    `against` is None for a shadow without a live policy. `examples_flagged`: event ids of images that only the shadow
    flags; `examples_cleared`: of images that only the live policy flags. Both have the highest margin first.
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
        """Share of images that the shadow flags, with Wilson's 95 % interval."""
        return wilson(self.both + self.newly_flagged, self.images)

    @property
    def live_share(self) -> Interval:
        """Share of images that the live policy flags, with Wilson's 95 % interval."""
        return wilson(self.both + self.newly_cleared, self.images)


def count_shadows(
    verdicts: Iterable[VerdictRecord],
    pairs: Mapping[str, str | None],
    digests: Mapping[str, str],
    restricted: Collection[str] = (),
    examples: int = 5,
) -> list[ShadowCount]:
    """
    Count the answers of each shadow of `pairs` against those of its live policy, both given by id.

    A verdict counts if it has the shadow's digest; older verdicts are of an earlier version of the policy. Images that
    one of the `restricted` policies flags are counted, but never become examples.
    """
    tallies = {shadow: _Tally(shadow, live) for shadow, live in pairs.items()}
    for verdict in verdicts:
        answers = {each.id: each for each in verdict.policies}
        withheld = any(each.flagged and each.id in restricted for each in verdict.policies)
        for shadow, tally in tallies.items():
            mine = answers.get(shadow)
            if mine is not None and mine.digest == digests[shadow]:
                named = None if withheld else verdict.event.id
                tally.add(named, mine, answers.get(tally.live) if tally.live else None)
    return [tally.result(examples) for tally in tallies.values()]


class _Tally:
    def __init__(self, shadow: str, live: str | None) -> None:
        self.shadow, self.live = shadow, live
        self.images = self.both = 0
        self.flagged: list[tuple[float, str | None]] = []
        self.cleared: list[tuple[float, str | None]] = []

    def add(self, event_id: str | None, mine: PolicyAnswer, theirs: PolicyAnswer | None) -> None:
        if self.live is not None and theirs is None:
            return
        self.images += 1
        before = bool(theirs and theirs.flagged)
        self.both += before and mine.flagged
        if mine.flagged and not before:
            self.flagged.append((mine.score - mine.threshold, event_id))
        if before and not mine.flagged and theirs:
            self.cleared.append((theirs.score - theirs.threshold, event_id))

    def result(self, examples: int) -> ShadowCount:
        return ShadowCount(
            self.shadow,
            self.live,
            self.images,
            self.both,
            len(self.flagged),
            len(self.cleared),
            _highest(self.flagged, examples),
            _highest(self.cleared, examples),
        )


def _highest(margins: Sequence[tuple[float, str | None]], count: int) -> tuple[str, ...]:
    named = [(margin, event_id) for margin, event_id in margins if event_id is not None]
    return tuple(event_id for _, event_id in sorted(named, reverse=True)[:count])
