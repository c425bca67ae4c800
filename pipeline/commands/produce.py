"""`watchword produce`: files to the input topic."""

import json
import mimetypes
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.topics import ensure_topics
from pipeline.commands.console import progress_output
from pipeline.errors import UsageError
from pipeline.evaluate.labelled import read_labels
from pipeline.ingest.event import event_headers
from pipeline.ingest.folder import list_files
from pipeline.settings import Settings, load_settings
from pipeline.stream.topics import connection_of, topics_of


def run_produce(
    paths: list[Path],
    *,
    labels: Path | None,
    split: str | None,
    source: str,
    repeat: int,
    rate: float | None,
    references: bool,
) -> None:
    """Send every file `repeat` times. Raises `UsageError`, and `BrokerFault` when something was not stored."""
    settings = load_settings(Settings)
    files = _labelled(labels, split) if labels else [(file, {}) for file in list_files(paths)]
    if not files:
        raise UsageError("no files to send")
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    total = len(files) * repeat
    console = progress_output()
    with (
        Publisher(connection, max_record_bytes=settings.max_record_bytes) as publisher,
        Progress(TextColumn("sending"), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task("send", total=total)
        for place in _paced(total, rate):
            file, extensions = files[place % len(files)]
            event_id = str(file) if repeat == 1 else f"{file}#{place // len(files)}"
            value, kind = _content(file, references=references)
            publisher.send(
                image_message(settings.topic_images, event_id, value, kind, source=source, extensions=extensions)
            )
            progress.advance(task)
        publisher.flush()
    console.print(f"sent {total} records to {settings.topic_images}")


def _labelled(labels: Path, split: str | None) -> list[tuple[Path, dict[str, str]]]:
    return [(file.path, {"label": file.category}) for file in read_labels(labels, split)]


def _paced(total: int, rate: float | None) -> Iterator[int]:
    """Yield 0 to `total` - 1, at most `rate` a second."""
    started, clock = time.monotonic(), threading.Event()
    for place in range(total):
        if rate:
            clock.wait(max(0.0, started + place / rate - time.monotonic()))
        yield place


def _content(file: Path, *, references: bool) -> tuple[bytes, str]:
    """Return what is sent for a file and its content type."""
    if references:
        return json.dumps({"uri": file.resolve().as_uri()}).encode(), "application/json"
    return file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def image_message(
    topic: str, event_id: str, value: bytes | None, content_type: str, *, source: str, extensions: Mapping[str, str]
) -> Message:
    """Return an image event of now."""
    headers = event_headers(event_id, source, extensions, content_type=content_type, time=datetime.now(UTC))
    return Message(topic, event_id.encode(), value, headers)
