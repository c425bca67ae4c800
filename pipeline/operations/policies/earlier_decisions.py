"""Decisions of earlier label sessions, joined with the archived scores of their images."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.evaluation.labelling.earlier import Earlier, kind_of
from pipeline.evaluation.stats.near_duplicates import read_hash
from pipeline.events.decisions import Decision
from pipeline.operations.policies.archived_scores import ArchivedScores
from pipeline.operations.workbench import Workbench

_COLUMNS = ("key", "event_id", "source", "content")


@dataclass(frozen=True, slots=True)
class EarlierDecisions:
    """Decisions about scored images, in the order of their times, and their `labels` in the same order."""

    decisions: Sequence[Decision]
    labels: Sequence[Earlier]

    @property
    def reviewers(self) -> list[str]:
        """The names of the people who decided."""
        return sorted({each.reviewer for each in self.decisions if each.reviewer})


def earlier_decisions(workbench: Workbench, scored: ArchivedScores, decisions: Sequence[Decision]) -> EarlierDecisions:
    """Return the decisions about scored images; an event that came again with other content is another image."""
    keys = _keys(workbench, decisions)
    found: dict[int, Decision] = {}
    for each in decisions:
        same = [key for content, key in keys.get((each.source, each.event_id), ()) if each.content in (None, content)]
        place = pc.index(scored.keys, same[-1]).as_py() if same else -1
        if place >= 0:
            found[place] = each
    return EarlierDecisions(list(found.values()), [_label(scored, place, each) for place, each in found.items()])


def _keys(workbench: Workbench, decisions: Sequence[Decision]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return the archived images of each event, as pairs of content and key, by source and event id."""
    event_ids = {each.event_id for each in decisions}
    keys: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for batch in workbench.archive.of(workbench.bundle.digest, "event_id", event_ids, _COLUMNS):
        for row in batch.to_pylist():
            keys.setdefault((row["source"], row["event_id"]), []).append((row["content"], row["key"]))
    return keys


def _label(scored: ArchivedScores, place: int, decision: Decision) -> Earlier:
    kind = kind_of(before=bool(scored.before[place]), after=bool(scored.after[place]))
    picture = read_hash(decision.picture) if decision.picture else None
    return Earlier(place, kind, decision.ruling.right, decision.probability, picture)
