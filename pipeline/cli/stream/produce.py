"""`watchword produce`: files to the input topic."""

import json
import mimetypes
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import connection_of, topics_of
from pipeline.cli.console import progress_output
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.ingest.event import event_headers
from pipeline.ingest.folder import fault_of, file_id, has_image_signature, list_files
from pipeline.settings import Settings, load_settings

MOST_NAMED = 3


def run_produce(
    paths: list[Path],
    *,
    labels: Path | None,
    split: str | None,
    source: str,
    repeat: int,
    rate: float | None,
    references: bool,
) -> int:
    """
    Send every image `repeat` times; returns 0, or 2 when a file cannot be read.

    Raises `UsageError`, and `BrokerFault` when something was not stored.
    """
    settings, console = load_settings(Settings), progress_output()
    found = _Found(_labelled(labels, split), [], {}) if labels else _found(paths)
    if found.others:
        named = ", ".join(f"`{file}`" for file in found.others[:MOST_NAMED])
        more = f" and {len(found.others) - MOST_NAMED} more" if len(found.others) > MOST_NAMED else ""
        console.print(f"skipped {counted(len(found.others), 'file')} that begin as no image does: {named}{more}")
    for file, fault in found.faults.items():
        console.print(f"`{file}`: {fault}")
    if not found.files:
        raise UsageError("no images to send")
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    total, sent = len(found.files) * repeat, 0
    with (
        Publisher(connection, max_record_bytes=settings.max_record_bytes) as publisher,
        Progress(TextColumn("sending"), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task("send", total=total)
        for place in _paced(total, rate):
            file, extensions = found.files[place % len(found.files)]
            event_id = file_id(file) if repeat == 1 else f"{file_id(file)}#{place // len(found.files)}"
            progress.advance(task)
            try:
                value, kind = _content(file, references=references)
            except OSError as error:
                found.faults[file] = fault_of(error)
                console.print(f"`{file}`: {fault_of(error)}")
                continue
            publisher.send(
                image_message(settings.topic_images, event_id, value, kind, source=source, extensions=extensions)
            )
            sent += 1
        publisher.flush()
    console.print(f"sent {counted(sent, 'record')} to {settings.topic_images}")
    return 2 if found.faults else 0


@dataclass(frozen=True, slots=True)
class _Found:
    """Files to send with their attributes, files in folders that are no images, and those that cannot be read."""

    files: list[tuple[Path, dict[str, str]]]
    others: list[Path]
    faults: dict[Path, str]


def _found(paths: list[Path]) -> _Found:
    """Return what is named as it is, and what folders have by how it begins."""
    found = _Found([], [], {})
    for path in paths:
        for file in list_files([path]):
            try:
                sent = has_image_signature(file) or file == path
            except OSError as error:
                found.faults[file] = fault_of(error)
                continue
            if sent:
                found.files.append((file, {}))
            else:
                found.others.append(file)
    return found


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
