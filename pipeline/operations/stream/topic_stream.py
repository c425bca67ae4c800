"""A range of a topic with labels as a labelled stream."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.progress import track

from pipeline.broker.reader import read_range
from pipeline.broker.topology import connection_of
from pipeline.cli.console import progress_output
from pipeline.counted import counted
from pipeline.errors import RecordFault, UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledImage, LabelledStream, policy_ids, read_probability
from pipeline.events.records import Record, Reference
from pipeline.ingest.event import parse_event
from pipeline.settings import Settings, load_settings

SCHEME = "kafka:"


@contextmanager
def topic_stream(topic: str, labels: Path, since: datetime | None, until: datetime | None) -> Iterator[LabelledStream]:
    """
    Yield the labelled records of `topic` between two times, as files that last as long as the context.

    `labels` is a CSV with the event `id`, `policies`, and perhaps `cluster` and `probability`. Records without a label
    are left out; labels without a record are counted out loud. Raises `UsageError`.
    """
    rows = _rows(labels)
    console = progress_output()
    with TemporaryDirectory(prefix="watchword-replay-") as folder:
        records = read_range(connection_of(load_settings(Settings)), topic, since, until)
        found: dict[str, LabelledImage] = {}
        for record in track(records, "reading the topic", console=console, transient=True):
            image = _image(record, rows, Path(folder) / f"{len(found)}")
            if image is not None:
                found.setdefault(image.id, image)
        if not found:
            raise UsageError(f"`{topic}`: none of {counted(len(rows), 'event')} with labels is there in that time")
        console.print(f"in `{topic}`: {len(found)} of {counted(len(rows), 'event')} with labels")
        yield LabelledStream(
            tuple(found.values()), frozenset(policy for row in rows.values() for policy in policy_ids(row["policies"]))
        )


def _rows(labels: Path) -> dict[str, dict[str, str]]:
    if not labels.is_file():
        raise UsageError(f"`{labels}`: not found; a topic's labels are a CSV with `id` and `policies`")
    try:
        with labels.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = {"id", "policies"} - set(reader.fieldnames or ())
            if missing:
                raise UsageError(f"{labels}:1:1: no column {', '.join(f'`{name}`' for name in sorted(missing))}")
            return {row["id"]: {**row, "line": str(number)} for number, row in enumerate(reader, 2)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"`{labels}`: no CSV in UTF-8 that can be read: {error}") from error


def _image(record: Record, rows: dict[str, dict[str, str]], path: Path) -> LabelledImage | None:
    try:
        event = parse_event(record)
    except RecordFault:
        return None
    row = rows.get(event.id)
    if row is None:
        return None
    # A reference is kept as what it is, and fetched when it is judged.
    path = path.with_suffix(".json" if isinstance(event.content, Reference) else ".image")
    path.write_bytes(record.value or b"")
    return LabelledImage(
        id=event.id,
        image=path,
        source=event.source,
        attributes=event.attributes,
        right=frozenset(policy_ids(row["policies"])),
        cluster=row.get("cluster") or event.id,
        probability=read_probability(Path("labels"), int(row["line"]), row.get("probability")),
    )
