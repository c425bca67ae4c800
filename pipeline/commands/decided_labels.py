"""Decisions joined with archived embeddings: what policies are held against without any image."""

import json
from collections.abc import Collection

from pipeline.archive.dataset import Archive, vectors_of
from pipeline.commands.console import progress_output
from pipeline.commands.deciding import read_decisions
from pipeline.errors import UsageError
from pipeline.evaluate.decided import Decided
from pipeline.settings import Settings, load_settings

_COLUMNS = ("event_id", "source", "attributes", "vector")


def read_decided(archive: Archive, model: str, policy_ids: Collection[str]) -> list[Decided]:
    """
    Return the decisions about these policies with what is archived of their images, in the order they were made.

    Raises `UsageError` when there are decisions, but of none of their images is anything archived.
    """
    given = [each for each in read_decisions(load_settings(Settings)) if each.policy in policy_ids]
    rows = {}
    for batch in archive.of(model, "event_id", {each.event_id for each in given}, _COLUMNS):
        ids, sources, attributes = (batch.column(name).to_pylist() for name in _COLUMNS[:3])
        for event_id, source, told, vector in zip(ids, sources, attributes, vectors_of(batch), strict=True):
            rows[source, event_id] = (json.loads(told), vector)
    found = [Decided(each, *rows[each.source, each.event_id]) for each in given if (each.source, each.event_id) in rows]
    if given and not found:
        raise UsageError(f"{len(given)} decisions, but `{archive.address}` has no embedding of what they are about")
    if len(found) < len(given):
        progress_output().print(f"{len(given) - len(found)} of {len(given)} decisions are of images not archived")
    return found
