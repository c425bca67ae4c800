"""`watchword scan`: files in, a table or JSON lines out, and a report."""

import os
import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.cli.console import output, plain_table, progress_output, require_format
from pipeline.cli.transition import note_access
from pipeline.counted import counted
from pipeline.emit.jsonlines import JsonLinesSink
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import RecordFault
from pipeline.evaluation.offline.scan import Outcome, scan
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.ingest.decode import thumbnail
from pipeline.ingest.decoder import build_decoder
from pipeline.ingest.folder import as_unreadable, list_files, read_files
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set
from pipeline.policies.model_compatibility import for_model, stale_policies
from pipeline.reports.page import THUMBNAIL_SIDE
from pipeline.reports.scan import About, Card, by_interest, dead_letter_card, verdict_card, write_report
from pipeline.settings import Settings, load_settings

MOST_CARDS = 500


def run_scan(
    paths: list[Path], *, policies: Path | None, output_format: str, html: Path | None, model: Path | None
) -> int:
    """Scan and print; returns the exit code."""
    require_format(output_format, ("table", "jsonl"))
    settings = load_settings(Settings)
    files = list_files(paths)
    policy_set = load_policy_set(policies or settings.policies)
    bundle = Bundle.load(model or settings.model)
    if stale := stale_policies(policy_set, bundle.lineage):
        names = ", ".join(policy.id for policy in stale)
        progress_output().print(f"fitted for another model, what they say of this one means little: {names}")
    policy_set = for_model(policy_set, bundle.lineage)
    note_access(policy_set.policies, "scan")
    encoder = LocalEncoder(bundle)
    judge = Judge(build_prompt_bank(policy_set, encoder))
    outcomes = scan(
        read_files(files, max_bytes=settings.max_image_bytes),
        decoder=build_decoder(settings, bundle.pixels),
        encoder=encoder,
        judge=judge,
        batch_size=settings.batch_size,
        threads=os.cpu_count() or 1,
    )
    tally = _Tally(JsonLinesSink(sys.stdout) if output_format == "jsonl" else None, with_cards=html is not None)
    with Progress(
        TextColumn("scanning"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=progress_output(),
        transient=True,
    ) as progress:
        task = progress.add_task("scan", total=len(files))
        for outcome in outcomes:
            tally.note(as_unreadable(outcome) if isinstance(outcome, DeadLetter) else outcome)
            progress.advance(task)
    if output_format == "table":
        tally.print_table()
    if html is not None:
        where = ", ".join(map(str, paths))
        about = About(where, images=len(files), policy_set=policy_set.digest, model=bundle.digest)
        write_report(html, tally.cards(), about)
    return tally.exit_code()


class _Tally:
    """What a scan has found so far."""

    def __init__(self, lines: JsonLinesSink | None, *, with_cards: bool) -> None:
        self._lines = lines
        self._with_cards = with_cards
        self._shown: list[Outcome] = []
        self._cards: list[Card] = []
        self._judged = self._flagged = self._unjudged = 0

    def note(self, outcome: Outcome) -> None:
        if isinstance(outcome, DeadLetter):
            self._unjudged += 1
        else:
            self._judged += 1
            self._flagged += bool(outcome.flags)
        if self._lines is not None:
            self._lines.emit(outcome)
        elif isinstance(outcome, DeadLetter) or outcome.flags:
            self._shown.append(outcome)
        if self._with_cards:
            self._cards.append(_card(outcome))
            if len(self._cards) > 2 * MOST_CARDS:
                self._cards = self.cards()

    def cards(self) -> list[Card]:
        """Return the cards most worth a look: flagged, unjudged, then those that came nearest."""
        return sorted(self._cards, key=by_interest)[:MOST_CARDS]

    def print_table(self) -> None:
        console = output()
        if self._shown:
            table = plain_table("path", "flag", "severity", "score", "threshold")
            for outcome in self._shown:
                for row in _rows(outcome):
                    table.add_row(*row)
            console.print(table)
        unjudged = f", {self._unjudged} could not be judged" if self._unjudged else ""
        console.print(f"{counted(self._judged + self._unjudged, 'file')}, {self._flagged} flagged{unjudged}")

    def exit_code(self) -> int:
        if self._flagged:
            return 1
        return 2 if self._unjudged else 0


def _rows(outcome: Outcome) -> list[tuple[str, ...]]:
    if isinstance(outcome, DeadLetter):
        return [(outcome.record.origin.topic, f"not judged: {outcome.reason}", "", "", "")]
    path = outcome.image.event.origin.topic
    return [
        (path, flag.policy.id, flag.severity, f"{flag.score:.2f}", f"{flag.policy.threshold:.2f}")
        for flag in outcome.flags
    ]


def _card(outcome: Verdict | DeadLetter) -> Card:
    if isinstance(outcome, DeadLetter):
        return dead_letter_card(outcome)
    content = outcome.image.event.content
    assert isinstance(content, bytes)  # a scan reads files, never references
    shown = not any(policy.restricted and flagged for policy, _, flagged in outcome.answers())
    return verdict_card(outcome, _small(content) if shown else None)


def _small(content: bytes) -> bytes | None:
    try:
        return thumbnail(content, THUMBNAIL_SIDE)
    except RecordFault:
        return None  # it is judged all the same
