"""`watchword demo`: the main job from end to end on this machine, counted from the topics."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from pipeline.broker.connection import Connection
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import committed_and_end, ensure_topics
from pipeline.broker.topology import connection_of, topics_of
from pipeline.cli.console import Lines, output, plain_table
from pipeline.cli.stream.produce import image_message
from pipeline.errors import WatchwordError
from pipeline.evaluation.datasets.labels_csv import LabelledFile, read_labels, read_policy_labels
from pipeline.evaluation.delivery.content_check import ContentAudit, audit_content
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.events.records import Record
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings, StackSettings, load_settings
from pipeline.stack.broken_images import broken_images
from pipeline.stack.local import down, stack_parts, up
from pipeline.stack.worker_process import WorkerProcess

DEADLINE_S = 300.0
SHOWN_FLAGS = 3


class DemoError(WatchwordError):
    """The demo did not add up, or did not end."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the topics hold once the demo's stream has been worked off."""

    audit: DeliveryCheck
    content: ContentAudit
    verdicts: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    reasons: Counter[str]


def run_demo(samples: Path, *, keep: bool) -> None:
    """Run it. Raises `DemoError` unless every record has its outcome once."""
    stack = load_settings(StackSettings)
    parts = stack_parts(stack)
    ours = [part for part in parts if part.process.find() is None]
    try:
        up(parts, _say, stack.ready_timeout_s)
        name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        os.environ.update(_environment(name, stack))
        settings = load_settings(Settings)
        outcome, seconds = _stream(settings, samples, stack.state.absolute() / name)
        _show(outcome, seconds, samples, settings)
    finally:
        if not keep:
            down(ours, _say)
    output().print(f"demo: {outcome.content.summary()}")
    output().print(f"demo: {outcome.audit.summary()}")
    if outcome.content.wrong:
        raise DemoError("verdicts are not what their images give: " + "; ".join(outcome.content.wrong[:5]))
    if not outcome.audit.adds_up:
        raise DemoError(f"the stream does not add up: {outcome.audit}")


def _environment(name: str, stack: StackSettings) -> dict[str, str]:
    kinds = ("images", "flags", "verdicts", "embeddings", "dead_letters")
    topics = {f"WATCHWORD_TOPIC_{kind.upper()}": f"{name}.{kind.replace('_', '-')}" for kind in kinds}
    return {
        **topics,
        "WATCHWORD_BOOTSTRAP_SERVERS": f"127.0.0.1:{stack.kafka_port}",
        "WATCHWORD_TRITON_URL": f"127.0.0.1:{stack.triton_grpc_port}",
        "WATCHWORD_GROUP_ID": name,
        "WATCHWORD_HTTP_PORT": "0",
    }


def _stream(settings: Settings, samples: Path, logs: Path) -> tuple[_Outcome, float]:
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    photographs = read_labels(samples / "labels.csv", "test")
    sent = _send(connection, settings, samples, photographs)
    _say(f"sent {sent} records: {len(photographs)} photographs and {sent - len(photographs)} broken ones")
    logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with _two_workers(logs) as workers:
        _wait_until_committed(connection, settings, sent, workers)
        seconds = time.monotonic() - started
    return _read(connection, settings), seconds


def _send(connection: Connection, settings: Settings, samples: Path, photographs: list[LabelledFile]) -> int:
    first = photographs[0].path.read_bytes()
    events = [(str(each.path.relative_to(samples)), each.path.read_bytes(), "image/jpeg") for each in photographs]
    events += [(broken.name, broken.value, broken.content_type) for broken in broken_images(first)]
    with Publisher(connection, max_record_bytes=settings.max_record_bytes) as publisher:
        for event_id, value, content_type in events:
            publisher.send(
                image_message(settings.topic_images, event_id, value, content_type, source="demo", extensions={})
            )
    return len(events)


@contextmanager
def _two_workers(logs: Path) -> Iterator[list[WorkerProcess]]:
    workers = [WorkerProcess(f"{logs.name}-{n}", logs / f"worker-{n}.log", {}).start() for n in (1, 2)]
    try:
        yield workers
        for worker in workers:
            worker.signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(30)
    finally:
        for worker in workers:
            worker.kill()


def _wait_until_committed(connection: Connection, settings: Settings, sent: int, workers: list[WorkerProcess]) -> None:
    deadline, clock, shown = time.monotonic() + DEADLINE_S, threading.Event(), -1
    while True:
        committed = sum(
            done for done, _ in committed_and_end(connection, settings.group_id, settings.topic_images).values()
        )
        if committed != shown:
            _say(f"{committed} of {sent} records committed")
            shown = committed
        if committed >= sent:
            return
        for worker in workers:
            if not worker.running():
                raise DemoError(f"worker {worker.instance_id} ended with {worker.exit_code()}:\n{worker.tail()}")
        if time.monotonic() > deadline:
            raise DemoError(f"not done after {DEADLINE_S:.0f} s; the end of a worker's log:\n{workers[0].tail()}")
        clock.wait(0.5)


def _read(connection: Connection, settings: Settings) -> _Outcome:
    def records(topic: str) -> list[Record]:
        return list(read_topics(connection, [topic]))

    verdicts, flags = records(settings.topic_verdicts), records(settings.topic_flags)
    letters = records(settings.topic_dead_letters)
    images = records(settings.topic_images)
    counted = check_delivery(images, verdicts, records(settings.topic_embeddings), flags, letters)
    _say("comparing every verdict with an in-process scan of the same bytes")
    content = audit_content(images, verdicts, flags, letters, settings)
    reasons = Counter(dict(letter.headers)["watchword-reason"].decode() for letter in letters)
    return _Outcome(counted, content, [_json(each) for each in verdicts], [_json(each) for each in flags], reasons)


def _json(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(record.value or b"")
    return fields


def _show(outcome: _Outcome, seconds: float, samples: Path, settings: Settings) -> None:
    console = output()
    console.print(Lines("\nA few flag events, whole:\n"))
    for fields in outcome.flags[:SHOWN_FLAGS]:
        console.print_json(json.dumps(fields, ensure_ascii=False))
    categories = {
        str(each.path.relative_to(samples)): each.category for each in read_labels(samples / "labels.csv", "test")
    }
    about = read_policy_labels(samples / "policy_labels.yaml")
    table = plain_table("policy", "flags", "right", "precision", "should flag", "recall")
    for policy in load_policy_set(settings.policies).policies:
        flagged = [fields["event"]["id"] for fields in outcome.flags if fields["policy"]["id"] == policy.id]
        wanted = {file for file, category in categories.items() if category in about.get(policy.id, ())}
        right = sum(file in wanted for file in flagged)
        cells = (len(flagged), right, _ratio(right, len(flagged)), len(wanted), _ratio(right, len(wanted)))
        table.add_row(policy.id, *map(str, cells))
    console.print(Lines("\nEach policy on the `test` photographs:\n"))
    console.print(table)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(outcome.reasons.items()))
    console.print(Lines(f"\nDead letters by reason: {reasons}"))
    rate = outcome.audit.records / seconds
    console.print(f"{outcome.audit.records} records in {seconds:.1f} s, start of the workers included: {rate:.0f}/s")


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "–"


def _say(line: str) -> None:
    typer.echo(f"demo: {line}", err=True)
