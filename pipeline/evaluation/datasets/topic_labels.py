"""Labels of a topic's events: a CSV with the event `id`, `policies`, and perhaps `cluster` and `probability`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.label_files import Row, mistake, read_csv
from pipeline.evaluation.datasets.labelled_stream import policy_ids, read_probability

_REQUIRED = frozenset({"id", "policies"})


@dataclass(frozen=True, slots=True)
class TopicLabel:
    """
    Label of one event: the `policies` that should flag its image, and its `cluster` of near-duplicates.

    `probability`: the chance that the event was sampled from the stream for labelling; None if the row has none.
    """

    policies: frozenset[str]
    cluster: str
    probability: float | None


def read_topic_labels(path: Path) -> Mapping[str, TopicLabel]:
    """Return the labels by event id. The last row of an id counts. Raises `UsageError` with the line."""
    if not path.is_file():
        raise UsageError(f"`{path}`: not found; a topic's labels are a CSV with `id` and `policies`")
    table = read_csv(path)
    if missing := _REQUIRED - set(table.columns):
        raise mistake(path, 1, f"no column {', '.join(f'`{name}`' for name in sorted(missing))}")
    return {row.values["id"]: _label(path, row) for row in table.rows}


def _label(path: Path, row: Row) -> TopicLabel:
    return TopicLabel(
        policies=frozenset(policy_ids(row.values["policies"])),
        cluster=row.values.get("cluster") or row.values["id"],
        probability=read_probability(path, row.line, row.values.get("probability")),
    )
