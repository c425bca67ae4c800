"""Decisions of earlier label sessions, each with the place of its image among archived scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.archive.dataset import Archive
from pipeline.commands.archived_scores import ArchivedScores
from pipeline.counted import plural
from pipeline.emit.page import human_time
from pipeline.evaluate.earlier import Earlier, kind_of
from pipeline.evaluate.near_duplicates import read_hash
from pipeline.events.decisions import Decision

_COLUMNS = ("key", "event_id", "source", "content")


@dataclass(frozen=True)
class EarlierDecisions:
    """The decisions whose images are archived, in the order of their times, and their labels in the same order."""

    decisions: Sequence[Decision]
    labels: Sequence[Earlier]

    @property
    def summary(self) -> str:
        """A sentence for the reviewer; empty without decisions."""
        if not self.labels:
            return ""
        who = ", ".join(sorted({each.reviewer for each in self.decisions if each.reviewer})) or "no reviewer named"
        counted = f"{len(self.labels)} earlier {plural(len(self.labels), 'decision')} counted"
        return f"{counted} ({who}; the last {human_time(self.decisions[-1].time)}). Decided images are not shown again."


def earlier_decisions(
    archive: Archive, model: str, scored: ArchivedScores, decisions: Sequence[Decision]
) -> EarlierDecisions:
    """Return the decisions about scored images; an event that came again with another picture is another image."""
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for batch in archive.of(model, "event_id", {each.event_id for each in decisions}, _COLUMNS):
        for row in batch.to_pylist():
            rows.setdefault((row["source"], row["event_id"]), []).append((row["content"], row["key"]))
    found: dict[int, Decision] = {}
    for each in decisions:
        same = [key for content, key in rows.get((each.source, each.event_id), ()) if each.content in (None, content)]
        place = pc.index(scored.keys, same[-1]).as_py() if same else -1
        if place >= 0:
            found[place] = each
    return EarlierDecisions(list(found.values()), [_label(scored, place, each) for place, each in found.items()])


def _label(scored: ArchivedScores, place: int, decision: Decision) -> Earlier:
    kind = kind_of(before=bool(scored.before[place]), after=bool(scored.after[place]))
    picture = read_hash(decision.picture) if decision.picture else None
    return Earlier(place, kind, decision.ruling.right, decision.probability, picture)
