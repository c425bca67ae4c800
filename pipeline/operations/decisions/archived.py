"""Decisions joined with archived embeddings, so that policies can be measured without the images."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import vectors_of
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.decisions.standing import Decided
from pipeline.events.decisions import Decision
from pipeline.operations.decisions.topic import read_decisions
from pipeline.operations.workbench import Workbench

_COLUMNS = ("event_id", "source", "attributes", "content", "vector")


@dataclass(frozen=True, slots=True)
class _Row:
    content: str
    attributes: dict[str, str]
    vector: NDArray[np.float16]


def read_decided(
    workbench: Workbench, model: str, policy_ids: Collection[str], since: datetime | None = None
) -> list[Decided]:
    """
    Return the decisions about these policies with the archived embeddings of their images, in the order of their times.

    `model`: digest of the model whose embeddings are read; `since`: only images of that time or later. A decision is
    left out if its content digest matches no archived image of its event.

    Raises `UsageError` when there are decisions but none of their images is archived.
    """
    given = [each for each in read_decisions(workbench) if each.policy in policy_ids]
    rows = _archived_rows(workbench, model, {each.event_id for each in given}, since)
    found = [decided for each in given if (decided := _decided(each, rows.get((each.source, each.event_id), ())))]
    if since is None and len(found) < len(given):
        if not found:
            raise UsageError(
                f"{counted(len(given), 'decision')}, but `{workbench.archive.address}` has no embedding of their images"
            )
        missing = len(given) - len(found)
        workbench.progress.notify(f"not archived: the images of {missing} of {counted(len(given), 'decision')}")
    return found


def _archived_rows(
    workbench: Workbench, model: str, event_ids: Collection[str], since: datetime | None
) -> dict[tuple[str, str], list[_Row]]:
    """Return the archived images of some events by source and event id, in the order they were stored."""
    rows: dict[tuple[str, str], list[_Row]] = {}
    for batch in workbench.archive.of(model, "event_id", event_ids, _COLUMNS, since):
        told = batch.select(_COLUMNS[:-1]).to_pylist()
        for row, vector in zip(told, vectors_of(batch), strict=True):
            one = _Row(row["content"], json.loads(row["attributes"]), vector)
            rows.setdefault((row["source"], row["event_id"]), []).append(one)
    return rows


def _decided(decision: Decision, rows: Sequence[_Row]) -> Decided | None:
    """Return a decision with its image: the one with the content that it names, else the last one of its event."""
    same = [row for row in rows if decision.content in (None, row.content)]
    return Decided(decision, same[-1].attributes, same[-1].vector) if same else None
