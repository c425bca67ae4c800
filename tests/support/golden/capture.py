"""A real run on a stack of its own: its topics become the recorded records. After a move, re-point these imports."""

import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from pipeline.broker.producer import Message
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import policy_topic
from pipeline.cli.main import app
from pipeline.events.records import Record
from pipeline.stack.broken_images import broken_images
from pipeline.stack.local import down, stack_parts, up
from pipeline.stack.worker_process import WorkerProcess
from pipeline.stack_settings import StackSettings
from tests.support.golden.files import POLICIES, read_records, record_line, write_facts, write_lines
from tests.support.golden.readers import archive_columns, archived, embedding
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY, Stack, Stream
from tests.support.waiting import wait_until

KINDS = ("images", "flags", "verdicts", "embeddings", "dead_letters", "decisions", "policies")
REVOLVER = REPOSITORY / "samples/images/revolver/image_0022.jpg"
LEOPARD = REPOSITORY / "samples/images/Leopards/image_0183.jpg"


def capture() -> None:
    """Run the stream once, and write every topic's records and the columns that an archive of them has."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    try:
        with _stack(folder / "stack") as stack, _stream(stack, folder) as stream:
            _run(stream, shutil.copytree(POLICIES, folder / "policies"))
            for kind in KINDS:
                write_lines(kind, map(record_line, _records(stream, kind)))
        rows = [embedding(record) for record in read_records("embeddings")]
        write_facts("archive", archive_columns(archived(rows, folder / "archive")))
    finally:
        shutil.rmtree(folder)


@contextmanager
def _stack(state: Path) -> Iterator[Stack]:
    kafka, controller, grpc, http, metrics = free_ports(5)
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=state,
        kafka_port=kafka,
        controller_port=controller,
        triton_grpc_port=grpc,
        triton_http_port=http,
        triton_metrics_port=metrics,
    )
    parts = stack_parts(settings)
    try:
        up(parts, print, settings.ready_timeout_s)
        yield Stack(settings, parts)
    finally:
        down(parts, print)


def _stream(stack: Stack, folder: Path) -> Stream:
    """Return a stream with topics of plain names: the stack is its own."""
    names = {f"WATCHWORD_TOPIC_{kind.upper()}": kind.replace("_", "-") for kind in KINDS}
    return Stream(
        stack,
        folder,
        partitions=2,
        **names,
        WATCHWORD_POLICY_SOURCE="topic",
        WATCHWORD_POLICY_INTERVAL_S="0.2",
        WATCHWORD_ARCHIVE_THUMBNAILS="24",
        WATCHWORD_FILE_ROOTS=json.dumps([str(folder)]),
    )


def _run(stream: Stream, policies: Path) -> None:
    """Judge images by a first set, by one with shadows, by one with a canary, and by the first again."""
    ensure_topics(stream.connection, [policy_topic(stream.settings)])
    _publish(stream, policies, "--note", "begin")
    worker = stream.worker()
    _send(stream, [*_images(stream), *_broken(stream)])
    for name, threshold, options in (("shadow", 4.0, ("--shadow",)), ("canary", 99.0, ("--canary", "50%"))):
        _set_threshold(policies, threshold)
        _take(worker, _publish(stream, policies, *options))
        _send(stream, [stream.image(f"{name}-{number}", REVOLVER.read_bytes()) for number in range(3)])
    _take(worker, _command(stream, "policies", "rollback", "--yes", "--author", "bo", "--note", "begin again"))
    _decide(stream)
    worker.signal(signal.SIGTERM)
    worker.wait(60)


def _images(stream: Stream) -> Iterator[Message]:
    """Yield images with attributes, without any, as a reference, and as bare bytes."""
    shop = {"region": "eu", "surface": "listing", "titel": "Fell – naïve"}
    yield stream.image("leopard-eu", LEOPARD.read_bytes(), extensions=shop)
    yield stream.image("leopard-us", LEOPARD.read_bytes(), extensions={**shop, "region": "us"})
    yield stream.image("revolver", REVOLVER.read_bytes())
    copied = stream.folder / "leopard.jpg"
    copied.write_bytes(LEOPARD.read_bytes())
    yield stream.image("reference", json.dumps({"uri": copied.as_uri()}).encode(), "application/json", shop)
    yield Message(stream.settings.topic_images, None, LEOPARD.read_bytes())


def _broken(stream: Stream) -> Iterator[Message]:
    for each in broken_images(REVOLVER.read_bytes()):
        if each.name != "truncated.jpg":  # half a photograph, which takes room; the next is as broken
            yield stream.image(each.name, each.value, each.content_type)
    yield stream.image("corrupt.jpg", b"\xff\xd8\xff\xe0 no photograph", extensions={"region": "eu"})
    yield Message(stream.settings.topic_images, b"half", b"bytes", (("ce_id", b"without a source"),))
    yield Message(stream.settings.topic_images, b"nothing", None)


def _send(stream: Stream, messages: list[Message]) -> None:
    stream.wait_until_committed(stream.committed() + stream.send(messages))


def _publish(stream: Stream, policies: Path, *options: str) -> str:
    return _command(stream, "policies", "publish", str(policies), "--yes", "--author", "ana", *options)


def _set_threshold(policies: Path, threshold: float) -> None:
    file = policies / "firearms.yaml"
    file.write_text(re.sub(r"value: [-\d.]+", f"value: {threshold}", file.read_text(), count=1))


def _take(worker: WorkerProcess, release: str) -> None:
    """Wait until the worker judges by a release."""
    version = f'"version": {json.loads(release)["version"]}'
    wait_until(lambda: version in worker.tail(1000), 30, f"the worker to take {version}")


def _decide(stream: Stream) -> None:
    by_event = {(flag["event"]["id"], flag["policy"]["id"]): flag["flag_id"] for flag in stream.flags()}
    flag = by_event["revolver", "weapons.firearms"]
    _command(stream, "decisions", "add", "upheld", "--flag", flag, "--reviewer", "ana")
    _command(stream, "decisions", "add", "overturned", "--flag", flag, "--reviewer", "bo", "--note", "a toy")
    row = {"ruling": "missed", "policy": "wildlife.skins", "source": "tests", "event_id": "leopard-us"}
    file = stream.folder / "decisions.jsonl"
    file.write_text(json.dumps({**row, "probability": 0.125, "time": "2031-05-20T12:00:00Z"}))
    _command(stream, "decisions", "add", "--from", str(file), "--reviewer", "bo")


def _command(stream: Stream, *words: str) -> str:
    with mock.patch.dict(os.environ, stream.environment):
        run = CliRunner().invoke(app, words)
    if run.exit_code != 0:
        raise RuntimeError(f"watchword {' '.join(words)}: {run.output}") from run.exception
    return run.stdout


def _records(stream: Stream, kind: str) -> list[Record]:
    found = stream.records(getattr(stream.settings, f"topic_{kind}"))
    return sorted(found, key=lambda record: (record.origin.partition, record.origin.offset))
