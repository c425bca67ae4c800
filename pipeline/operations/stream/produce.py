"""Images sent to the input topic as CloudEvents."""

import json
import mimetypes
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import topics_of
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_labels
from pipeline.ingest.event import event_headers
from pipeline.ingest.folder import fault_of, file_id, has_image_signature, list_files
from pipeline.operations.workbench import Workbench

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class ProduceRequest:
    """
    Images to send: the files of `paths`, or with `labels` the files of a labels.csv, of one `split` or of all.

    `source`: the events' source. `repeat`: events for each image. `rate`: maximum number of images a second. With
    `references`, events name the files' addresses; otherwise they carry the bytes.
    """

    paths: tuple[Path, ...]
    labels: Path | None = None
    split: str | None = None
    source: str = "watchword-produce"
    repeat: int = 1
    rate: float | None = None
    references: bool = False


@dataclass(frozen=True, slots=True)
class Produced:
    """Number of records `sent` to `topic`; `faults`: unreadable files, with the reason."""

    topic: str
    sent: int
    faults: Mapping[Path, str]


@dataclass(frozen=True, slots=True)
class _Image:
    file: Path
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Selection:
    """Images to send, files of folders that are not images, and unreadable files with the reason."""

    images: list[_Image]
    skipped: list[Path]
    faults: dict[Path, str]


def produce_images(
    workbench: Workbench, request: ProduceRequest, sleep: Callable[[float], object] = time.sleep
) -> Produced:
    """
    Send each image `repeat` times; creates a missing input topic. With a `rate`, `sleep` waits between sends.

    In folders, files without an image's first bytes are skipped, with a notice; a named file is always sent. Raises
    `UsageError` when there is no image, and `BrokerFault` when a record was not stored.
    """
    selected = _labelled(request.labels, request.split) if request.labels else _select(request.paths)
    if selected.skipped:
        workbench.progress.notify(_skipped(selected.skipped))
    if not selected.images:
        raise UsageError("no images to send")
    settings, faults = workbench.settings, dict(selected.faults)
    ensure_topics(workbench.connection, topics_of(settings, only=settings.topic_images))
    total, sent = len(selected.images) * request.repeat, 0
    with Publisher(workbench.connection, max_record_bytes=settings.max_record_bytes) as publisher:
        for number in workbench.progress.track(_paced(total, request.rate, sleep), "sending", total):
            image = selected.images[number % len(selected.images)]
            try:
                message = _message(settings.topic_images, image, number // len(selected.images), request)
            except OSError as error:
                faults[image.file] = fault_of(error)
                continue
            publisher.send(message)
            sent += 1
        publisher.flush()
    return Produced(settings.topic_images, sent, faults)


def image_message(
    topic: str, event_id: str, value: bytes | None, content_type: str, *, source: str, extensions: Mapping[str, str]
) -> Message:
    """Return an image event with the current time."""
    headers = event_headers(event_id, source, extensions, content_type=content_type, time=datetime.now(UTC))
    return Message(topic, event_id.encode(), value, headers)


def _select(paths: tuple[Path, ...]) -> _Selection:
    found = _Selection([], [], {})
    for path in paths:
        for file in list_files([path]):
            try:
                sent = file == path or has_image_signature(file)
            except OSError as error:
                found.faults[file] = fault_of(error)
                continue
            if sent:
                found.images.append(_Image(file, {}))
            else:
                found.skipped.append(file)
    return found


def _labelled(labels: Path, split: str | None) -> _Selection:
    return _Selection([_Image(file.path, {"label": file.category}) for file in read_labels(labels, split)], [], {})


def _skipped(files: list[Path]) -> str:
    named = ", ".join(f"`{file}`" for file in files[:MOST_NAMED])
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    verb = "does" if len(files) == 1 else "do"
    return f"skipped {counted(len(files), 'file')} that {verb} not begin like an image: {named}{more}"


def _paced(total: int, rate: float | None, sleep: Callable[[float], object]) -> Iterator[int]:
    """Yield the numbers below `total`, at most `rate` a second."""
    started = time.monotonic()
    for number in range(total):
        if rate:
            sleep(max(0.0, started + number / rate - time.monotonic()))
        yield number


def _message(topic: str, image: _Image, repetition: int, request: ProduceRequest) -> Message:
    """Return the event of one image. Raises `OSError` when the file cannot be read."""
    value, content_type = _content(image.file, references=request.references)
    event_id = file_id(image.file) if request.repeat == 1 else f"{file_id(image.file)}#{repetition}"
    return image_message(topic, event_id, value, content_type, source=request.source, extensions=image.attributes)


def _content(file: Path, *, references: bool) -> tuple[bytes, str]:
    """Return the value of a file's event and its content type."""
    if references:
        return json.dumps({"uri": file.resolve().as_uri()}).encode(), "application/json"
    return file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream"
