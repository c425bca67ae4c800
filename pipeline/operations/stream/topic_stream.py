"""Labelled streams from a range of a topic."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.broker.reader import read_range
from pipeline.counted import counted
from pipeline.errors import RecordFault, UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledImage, LabelledStream
from pipeline.evaluation.datasets.topic_labels import TopicLabel, read_topic_labels
from pipeline.events.records import Record, Reference
from pipeline.ingest.event import parse_event
from pipeline.operations.workbench import Workbench


@contextmanager
def topic_stream(
    workbench: Workbench, topic: str, labels: Path, since: datetime | None, until: datetime | None
) -> Iterator[LabelledStream]:
    """
    Yield the labelled records of `topic` between two times, as files that exist until the context ends.

    `labels` is a CSV as `read_topic_labels` reads it. Records without a label are left out; a notice says how many
    labels have a record. Raises `UsageError`, and `BrokerFault`.
    """
    known, progress = read_topic_labels(labels), workbench.progress
    with TemporaryDirectory(prefix="watchword-replay-") as folder:
        found: dict[str, LabelledImage] = {}
        records = read_range(workbench.connection, topic, since, until)
        for record in progress.track(records, "reading the topic"):
            image = _image(record, known, Path(folder) / f"{len(found)}")
            if image is not None:
                found.setdefault(image.id, image)
        if not found:
            raise UsageError(f"`{topic}`: none of {counted(len(known), 'event')} with labels is in that period")
        progress.notify(f"in `{topic}`: {len(found)} of {counted(len(known), 'event')} with labels")
        yield LabelledStream(
            tuple(found.values()), frozenset(policy for label in known.values() for policy in label.policies)
        )


def _image(record: Record, known: Mapping[str, TopicLabel], path: Path) -> LabelledImage | None:
    """Keep the image of a record with a label at `path`; None for a record without one."""
    try:
        event = parse_event(record)
    except RecordFault:
        return None
    label = known.get(event.id)
    if label is None:
        return None
    # A reference is stored unchanged, and fetched when its image is judged.
    path = path.with_suffix(".json" if isinstance(event.content, Reference) else ".image")
    path.write_bytes(record.value or b"")
    return LabelledImage(
        id=event.id,
        image=path,
        source=event.source,
        attributes=event.attributes,
        right=label.policies,
        cluster=label.cluster,
        probability=label.probability,
    )
