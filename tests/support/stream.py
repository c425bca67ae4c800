"""A separate stream on the shared stack: topics, workers, input records and outcomes."""

import itertools
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from pipeline.broker.connection import Connection
from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import committed_and_end, ensure_topics
from pipeline.broker.topology import topics_of
from pipeline.errors import PolicyError
from pipeline.evaluation.delivery.content_check import ContentAudit, audit_content
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.events.policies import PolicySet
from pipeline.events.records import Record
from pipeline.operations.stream.produce import image_message
from pipeline.policies.load import load_policy_set
from pipeline.releases.control_topic import read_published
from pipeline.settings import Settings, load_settings
from pipeline.stack.part import Part
from pipeline.stack.worker_process import COMMAND, WorkerProcess
from pipeline.stack_settings import StackSettings
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stack:
    """The running broker and Triton. `text_cache` saves its workers the encoding of texts that another encoded."""

    settings: StackSettings
    parts: Sequence[Part]
    text_cache: Path | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.settings.kafka_port}"

    @property
    def triton_url(self) -> str:
        return f"127.0.0.1:{self.settings.triton_grpc_port}"

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)


class Stream:
    """Topics with a prefix of their own and the workers on them. Use as a context: workers end with it."""

    def __init__(self, stack: Stack, folder: Path, *, partitions: int = 4, **environment: str) -> None:
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.stack = stack
        self.folder = folder
        kinds = ("images", "flags", "verdicts", "embeddings", "dead_letters", "dead_letter_handling", "decisions")
        self.environment = {
            **{f"WATCHWORD_TOPIC_{kind.upper()}": f"{self.name}.{kind}" for kind in kinds},
            "WATCHWORD_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
            "WATCHWORD_TRITON_URL": stack.triton_url,
            "WATCHWORD_GROUP_ID": self.name,
            "WATCHWORD_HTTP_PORT": "0",
            "WATCHWORD_POLICIES": str(REPOSITORY / "policies"),
            "WATCHWORD_SESSION_TIMEOUT_S": "6",
            **({"WATCHWORD_TEXT_CACHE": str(stack.text_cache)} if stack.text_cache else {}),
            **environment,
        }
        with mock.patch.dict(os.environ, self.environment):
            self.settings = load_settings(Settings)
        self.connection = self.own_connection()
        self.workers: list[WorkerProcess] = []
        self._names = itertools.count(1)
        ensure_topics(self.connection, topics_of(self.settings, partitions))

    def own_connection(self) -> Connection:
        """Return the connection of the test itself."""
        return Connection(self.stack.bootstrap_servers)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()

    def worker(self, command: tuple[str, ...] = COMMAND, **environment: str) -> WorkerProcess:
        """Start a worker."""
        name = environment.pop("WATCHWORD_INSTANCE_ID", f"{self.name}-w{next(self._names)}")
        log = self.folder / f"{name}-{len(self.workers)}.log"
        worker = WorkerProcess(name, log, {**self.environment, **environment}, command).start()
        self.workers.append(worker)
        return worker

    def send(self, messages: Iterable[Message]) -> int:
        """Store messages on the input topic and return how many."""
        count = 0
        with Publisher(self.connection, max_record_bytes=self.settings.max_record_bytes) as publisher:
            for message in messages:
                publisher.send(message)
                count += 1
        return count

    def image(
        self,
        event_id: str,
        value: bytes | None,
        content_type: str = "image/jpeg",
        extensions: Mapping[str, str] | None = None,
    ) -> Message:
        """Return an image event."""
        topic = self.settings.topic_images
        return image_message(topic, event_id, value, content_type, source="tests", extensions=extensions or {})

    def committed(self) -> int:
        """Return the number of input records that the group has committed."""
        places = committed_and_end(self.connection, self.settings.group_id, self.settings.topic_images)
        return sum(done for done, _ in places.values())

    def wait_until_committed(self, count: int, timeout_s: float = 90.0) -> None:
        """Wait until so many input records are committed; fails at once when every worker has ended."""

        def done() -> bool:
            if self.committed() >= count:
                return True
            if self.workers and not any(worker.running() for worker in self.workers):
                raise AssertionError(f"every worker ended:\n{self.workers[-1].tail(40)}")
            return False

        try:
            wait_until(done, timeout_s, f"{count} records committed by {self.name}", 0.5)
        except TimeoutError as error:
            for worker in self.workers:
                error.add_note(f"{worker.instance_id}, exit code {worker.exit_code()}:\n{worker.tail(30)}")
            raise

    def records(self, topic: str) -> list[Record]:
        return list(read_topics(self.connection, [topic]))

    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.records(self.settings.topic_verdicts)]

    def flags(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.records(self.settings.topic_flags)]

    def dead_letters(self) -> list[Record]:
        return self.records(self.settings.topic_dead_letters)

    def audit(self) -> DeliveryCheck:
        """Count everything from the topics."""
        names = self.settings
        return check_delivery(
            self.records(names.topic_images),
            self.records(names.topic_verdicts),
            self.records(names.topic_embeddings),
            self.flag_records(),
            self.dead_letters(),
            self.policy_sets(),
        )

    def policy_sets(self) -> list[PolicySet]:
        """Return the set of the policy folder, or those on the control topic that a worker can use."""
        if self.settings.policy_source == "folder":
            return [load_policy_set(self.settings.policies)]
        published, found = read_published(self.connection, self.settings.topic_policies), []
        for digest in published.sets:
            with suppress(PolicyError):
                found.append(published.policy_set(digest))
        return found

    def content_audit(self) -> ContentAudit:
        """Compare the scores and flags of every verdict with an in-process scan of the same bytes."""
        names = self.settings
        return audit_content(
            self.records(names.topic_images),
            self.records(names.topic_verdicts),
            self.flag_records(),
            self.dead_letters(),
            names,
        )

    def flag_records(self) -> list[Record]:
        return self.records(self.settings.topic_flags)


def family(process: psutil.Process) -> list[psutil.Process]:
    """A worker and the processes that it decodes in."""
    return [process, *process.children()]


def header(record: Record, name: str) -> str:
    """Return the last header of that name."""
    return next(value for found, value in reversed(record.headers) if found == name).decode()
