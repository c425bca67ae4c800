"""Decisions are matched with the archived images that they are about."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cli.policies.label_output import earlier_text
from pipeline.evaluation.stats.stratified_sample import Kind
from pipeline.events.decisions import Decision, Ruling
from pipeline.operations.policies.archived_scores import ArchivedScores
from pipeline.operations.policies.earlier_decisions import earlier_decisions
from pipeline.operations.workbench import Workbench

ROWS = [
    {"key": "i/0/1", "event_id": "a", "source": "shop", "content": "c1"},
    {"key": "i/0/2", "event_id": "b", "source": "shop", "content": "c2"},
    {"key": "i/0/3", "event_id": "b", "source": "shop", "content": "c3"},
    {"key": "i/0/4", "event_id": "a", "source": "forum", "content": "c4"},
    {"key": "i/0/5", "event_id": "old", "source": "shop", "content": "c5"},
]


class Shelf:
    """An archive of these rows."""

    def of(self, _model: str, _column: str, values: set[str], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        found = [{name: row[name] for name in columns} for row in ROWS if row["event_id"] in values]
        yield pa.RecordBatch.from_pylist(found, schema=pa.schema([(name, pa.string()) for name in columns]))


BENCH = cast("Workbench", SimpleNamespace(archive=Shelf(), bundle=SimpleNamespace(digest="m")))


@pytest.fixture
def scored() -> ArchivedScores:
    """The first four rows, in another order; the fifth is of a time before."""
    no, yes = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
    return ArchivedScores(pa.array(["i/0/4", "i/0/3", "i/0/2", "i/0/1"]), np.arange(4.0), no, yes, no)


def decision(event_id: str, source: str = "shop", **fields: Any) -> Decision:
    given = {"ruling": Ruling.MISSED, "policy": "p", "time": datetime(2026, 11, 24, 22, 46, tzinfo=UTC), **fields}
    return Decision(source=source, event_id=event_id, **given)


def test_each_decision_is_joined_by_source_event_and_content(scored: ArchivedScores) -> None:
    given = [
        decision("a", reviewer="ana", probability=0.5),
        decision("b", content="c2", ruling=Ruling.PASSED),
        decision("b", "forum"),
        decision("old"),
        decision("never archived"),
    ]
    found = earlier_decisions(BENCH, scored, given)
    assert [(each.place, each.right, each.probability) for each in found.labels] == [(3, True, 0.5), (2, False, None)]
    assert {each.kind for each in found.labels} == {Kind.NEWLY_FLAGGED}
    assert earlier_text(found).startswith("2 earlier decisions counted (ana; the last 24 November 2026, 22:46 UTC).")


def test_without_decisions_nothing_is_said(scored: ArchivedScores) -> None:
    assert not earlier_text(earlier_decisions(BENCH, scored, []))
