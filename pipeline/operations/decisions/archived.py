"""Decisions joined with archived embeddings: what policies are held against without any image."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.archive.dataset import Archive, vectors_of
from pipeline.cli.console import progress_output
from pipeline.cli.decisions.commands import read_decisions
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.decisions.standing import Decided
from pipeline.events.decisions import Decision
from pipeline.settings import Settings, load_settings

_COLUMNS = ("event_id", "source", "attributes", "content", "vector")


def read_decided(
    archive: Archive, model: str, policy_ids: Collection[str], since: datetime | None = None
) -> list[Decided]:
    """
    Return the decisions about these policies with what is archived of their images, in the order they were made.

    `since`: of images of that time and later. An event that came again with another picture is not the one decided on.

    Raises `UsageError` when there are decisions, but of none of their images is anything archived.
    """
    given = [each for each in read_decisions(load_settings(Settings)) if each.policy in policy_ids]
    rows: dict[tuple[str, str], list[_Row]] = {}
    for batch in archive.of(model, "event_id", {each.event_id for each in given}, _COLUMNS, since):
        told = batch.select(_COLUMNS[:-1]).to_pylist()
        for row, vector in zip(told, vectors_of(batch), strict=True):
            one = _Row(row["content"], json.loads(row["attributes"]), vector)
            rows.setdefault((row["source"], row["event_id"]), []).append(one)
    found = [decided for each in given if (decided := _decided(each, rows.get((each.source, each.event_id), ())))]
    if given and not found and since is None:
        raise UsageError(
            f"{counted(len(given), 'decision')}, but `{archive.address}` has no embedding of what was decided about"
        )
    if len(found) < len(given) and since is None:
        progress_output().print(
            f"not archived: the images of {len(given) - len(found)} of {counted(len(given), 'decision')}"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    content: str
    attributes: dict[str, str]
    vector: NDArray[np.float16]


def _decided(decision: Decision, rows: Sequence[_Row]) -> Decided | None:
    """Return a decision with the picture it is about; the last of its event where it does not say which."""
    same = [row for row in rows if decision.content in (None, row.content)]
    return Decided(decision, same[-1].attributes, same[-1].vector) if same else None
