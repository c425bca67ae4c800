"""Demo of the main job on this machine: start the stack, send photographs, run two workers, count the outcomes."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.broker.configured import connection_of
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import ensure_topics
from pipeline.broker.topology import topics_of
from pipeline.counted import counted
from pipeline.errors import WatchwordError
from pipeline.evaluation.datasets.labels_csv import LabelledFile, read_labels, read_policy_labels
from pipeline.evaluation.delivery.content_check import ContentAudit, audit_content
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.evaluation.delivery.flag_counts import FlagCounts, count_flags
from pipeline.events.records import Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.operations.stream.committed import environment_of, newly_committed
from pipeline.operations.stream.produce import image_message
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.settings import Settings
from pipeline.stack.broken_images import broken_images
from pipeline.stack.local import down, stack_parts, up
from pipeline.stack.worker_process import WorkerProcess
from pipeline.stack_settings import StackSettings

PATIENCE_S = 300.0
LEAVING_S = 30.0
WORKERS = 2
_TOPICS = ("images", "flags", "verdicts", "embeddings", "dead_letters")


class DemoError(WatchwordError):
    """The demo did not end, or its counts do not add up."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """
    Outcomes of the demo's stream, counted from its topics.

    `flags`: records of the flag events. `policies`: the counts of each policy. `reasons`: number of dead letters by
    reason. `seconds`: from the start of the workers to their last commit.
    """

    delivery: DeliveryCheck
    content: ContentAudit
    flags: tuple[Record, ...]
    policies: tuple[FlagCounts, ...]
    reasons: Mapping[str, int]
    seconds: float

    def require_sound(self) -> None:
        """Raise `DemoError` unless each record has exactly one outcome, and the right one for its bytes."""
        if self.content.wrong:
            raise DemoError("verdicts do not match their images:  " + "; ".join(self.content.wrong[:5]))
        if not self.delivery.adds_up:
            raise DemoError(f"the stream does not add up: {self.delivery}")


def run_demo(workbench: Workbench, stack: StackSettings, samples: Path, *, keep: bool = False) -> DemoResult:
    """
    Run the demo on the local stack. Parts of the stack that it starts are stopped afterwards, unless `keep` is set.

    `samples` is a folder with `labels.csv` and `policy_labels.yaml`. Raises `DemoError` when a worker ends or nothing
    is judged, `StackError`, and `BrokerFault`.
    """
    parts = stack_parts(stack)
    ours = [part for part in parts if part.process.find() is None]

    def say(message: str) -> None:
        workbench.progress.notify(f"demo: {message}")

    try:
        up(parts, say, stack.ready_timeout_s)
        name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        demo = _Demo(_own_settings(workbench.settings, stack, name), samples, stack.state.absolute() / name, say)
        return demo.run()
    finally:
        if not keep:
            down(ours, say)


def _own_settings(settings: Settings, stack: StackSettings, name: str) -> Settings:
    """Return settings with the addresses of the local stack, and with separate topics and a separate group."""
    topics = {f"topic_{kind}": f"{name}.{kind.replace('_', '-')}" for kind in _TOPICS}
    return settings.model_copy(
        update={
            **topics,
            "bootstrap_servers": f"127.0.0.1:{stack.kafka_port}",
            "triton_url": f"127.0.0.1:{stack.triton_grpc_port}",
            "group_id": name,
            "http_port": 0,
        }
    )


class _Demo:
    """One stream of the test photographs and some broken records, with separate settings."""

    def __init__(self, settings: Settings, samples: Path, logs: Path, say: Callable[[str], None]) -> None:
        self._settings, self._connection = settings, connection_of(settings)
        self._samples, self._logs, self._say = samples, logs, say

    def run(self) -> DemoResult:
        ensure_topics(self._connection, topics_of(self._settings))
        photographs = read_labels(self._samples / "labels.csv", "test")
        sent = self._send(photographs)
        self._say(f"sent {sent} records: {len(photographs)} photographs and {sent - len(photographs)} broken ones")
        self._logs.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self._workers() as workers:
            self._judge(workers, sent)
            seconds = time.monotonic() - started
        return self._result(photographs, seconds)

    def _send(self, photographs: list[LabelledFile]) -> int:
        first = photographs[0].path.read_bytes()
        events = [(self._event_id(each), each.path.read_bytes(), "image/jpeg") for each in photographs]
        events += [(broken.name, broken.value, broken.content_type) for broken in broken_images(first)]
        topic = self._settings.topic_images
        with Publisher(self._connection, max_record_bytes=self._settings.max_record_bytes) as publisher:
            for event_id, value, content_type in events:
                publisher.send(image_message(topic, event_id, value, content_type, source="demo", extensions={}))
        return len(events)

    def _event_id(self, photograph: LabelledFile) -> str:
        return str(photograph.path.relative_to(self._samples))

    @contextmanager
    def _workers(self) -> Iterator[list[WorkerProcess]]:
        name, environment = self._logs.name, environment_of(self._settings)
        workers = [
            WorkerProcess(f"{name}-{number}", self._logs / f"worker-{number}.log", environment).start()
            for number in range(1, WORKERS + 1)
        ]
        try:
            yield workers
            for worker in workers:
                worker.signal(signal.SIGTERM)
            for worker in workers:
                worker.wait(LEAVING_S)
        finally:
            for worker in workers:
                worker.kill()

    def _judge(self, workers: list[WorkerProcess], sent: int) -> None:
        committed = 0
        for new in newly_committed(self._settings, workers, sent, patience_s=PATIENCE_S, fault=DemoError):
            committed += new
            self._say(f"{committed} of {counted(sent, 'record')} committed")

    def _result(self, photographs: list[LabelledFile], seconds: float) -> DemoResult:
        settings = self._settings
        images, verdicts = self._records(settings.topic_images), self._records(settings.topic_verdicts)
        flags, letters = self._records(settings.topic_flags), self._records(settings.topic_dead_letters)
        embeddings = self._records(settings.topic_embeddings)
        self._say("comparing every verdict with an in-process scan of the same bytes")
        events, policy_set = [FlagRecord.parse(flag) for flag in flags], load_policy_set(settings.policies)
        return DemoResult(
            delivery=check_delivery(images, verdicts, embeddings, flags, letters, [policy_set]),
            content=audit_content(images, verdicts, flags, letters, settings),
            flags=tuple(flags),
            policies=count_flags(
                [(event.policy.id, event.event.id) for event in events],
                [policy.id for policy in policy_set.policies],
                {self._event_id(each): each.category for each in photographs},
                read_policy_labels(self._samples / "policy_labels.yaml"),
            ),
            reasons=Counter(DeadLetterRecord.parse(letter).own.reason.value for letter in letters),
            seconds=seconds,
        )

    def _records(self, topic: str) -> list[Record]:
        return list(read_topics(self._connection, [topic]))
