"""Output of a scan: a table or JSON lines, the cards of its report, and its exit code."""

from collections import Counter

from pipeline.cli.console import output, plain_table, print_json
from pipeline.counted import counted
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import Mode
from pipeline.operations.images.scan import ScannedFile
from pipeline.reports.scan import Card, by_interest, dead_letter_card, verdict_card

MOST_CARDS = 500


class ScanTally:
    """
    Results of a scan so far, printed or kept for later.

    `as_lines`: each result is printed as a JSON object at once. `with_cards`: cards for a report are kept.
    """

    def __init__(self, *, as_lines: bool, with_cards: bool) -> None:
        self._as_lines = as_lines
        self._with_cards = with_cards
        self._rows: list[tuple[str, ...]] = []
        self._cards: list[Card] = []
        self._files = self._flagged = self._unjudged = 0
        self._shadows: Counter[str] = Counter()

    def note(self, result: ScannedFile) -> None:
        """Count one result, and print or keep it."""
        self._files += 1
        if isinstance(result.outcome, DeadLetter):
            self._unjudged += 1
        else:
            self._flagged += bool(result.outcome.flags)
            self._shadows.update(
                policy.id for policy, _, flagged in result.outcome.answers() if flagged and policy.mode is Mode.SHADOW
            )
        if self._as_lines:
            print_json(result.fields)
        else:
            self._rows += _rows(result)
        if self._with_cards:
            self._cards.append(_card(result))
            if len(self._cards) > 2 * MOST_CARDS:
                self._cards = self.cards()

    def cards(self) -> list[Card]:
        """Return the report's cards: flagged images, then files that could not be judged, then the nearest misses."""
        return sorted(self._cards, key=by_interest)[:MOST_CARDS]

    def print_table(self) -> None:
        """Print a row for each flag and for each file that could not be judged, and the counts."""
        console = output()
        if self._rows:
            table = plain_table("path", "flag", "severity", "score", "threshold")
            for row in self._rows:
                table.add_row(*row)
            console.print(table)
        unjudged = f", {self._unjudged} could not be judged" if self._unjudged else ""
        console.print(f"{counted(self._files, 'file')}, {self._flagged} flagged{unjudged}")

    def shadow_notice(self) -> str:
        """Return a notice with the number of images that each shadow policy would flag; empty when there are none."""
        counts = [f"`{policy_id}` {counted(count, 'image')}" for policy_id, count in sorted(self._shadows.items())]
        return f"over the threshold, but not flagged in `mode: shadow`: {', '.join(counts)}" if counts else ""

    def exit_code(self) -> int:
        """Return 1 when something is flagged, else 2 when a file could not be judged, else 0."""
        if self._flagged:
            return 1
        return 2 if self._unjudged else 0


def _rows(result: ScannedFile) -> list[tuple[str, ...]]:
    if isinstance(result.outcome, DeadLetter):
        return [(result.path, f"not judged: {result.outcome.reason}", "", "", "")]
    return [
        (result.path, flag.policy.id, flag.severity, f"{flag.score:.2f}", f"{flag.policy.threshold:.2f}")
        for flag in result.outcome.flags
    ]


def _card(result: ScannedFile) -> Card:
    if isinstance(result.outcome, DeadLetter):
        return dead_letter_card(result.outcome)
    return verdict_card(result.outcome, result.thumbnail)
