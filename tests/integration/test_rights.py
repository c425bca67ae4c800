"""Each role does its job on a real broker with the rights that `topics acls` prints, and is refused anything else."""

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from pipeline.archive.dataset import Archive
from pipeline.broker.configured import connection_of
from pipeline.broker.connection import Connection
from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.table import TableReader, writing
from pipeline.broker.topics import ensure_topics, topic_names
from pipeline.broker.topology import decision_topic, handling_topic, policy_topic, topics_of
from pipeline.errors import UsageError
from pipeline.operations.topics.acls import Operation, Resource, Right, Role, role_named, roles_of
from pipeline.settings import Settings
from tests.support.archiving import COMMAND
from tests.support.publishing import two_policies
from tests.support.rights import grant
from tests.support.secure_broker import SecureKafka
from tests.support.secure_clients import output, plain, run_tool, secure_stream, user
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stream(
    stack: Stack, secure_kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory, samples: Path
) -> Iterator[Stream]:
    """A stream on which each role has its rights, after the jobs that leave records."""
    folder = tmp_path_factory.mktemp("rights")
    own = {
        "WATCHWORD_POLICY_SOURCE": "topic",
        "WATCHWORD_TOPIC_POLICIES": f"control-{uuid.uuid4().hex[:10]}",
        "WATCHWORD_ARCHIVE": str(folder / "archive"),
        "WATCHWORD_ARCHIVE_FLUSH_S": "0.2",
    }
    with secure_stream(stack, secure_kafka, folder, {**user(secure_kafka, "nobody"), **own}) as stream:
        for role in roles_of(stream.settings):
            grant(stream.connection, role, f"User:{role.name}")
        output(as_role(stream, "publisher"), "policies", "publish", str(two_policies(folder / "policies")), "--yes")
        output(as_role(stream, "producer"), "produce", str(samples / "images/revolver"))
        send(stream, "producer", "topic_images")  # no image: a dead letter
        worker = stream.worker(WATCHWORD_SASL_USERNAME="worker")
        archiver = stream.worker(COMMAND, WATCHWORD_SASL_USERNAME="archive")
        stream.wait_until_committed(len(stream.records(stream.settings.topic_images)))
        archive = Archive(own["WATCHWORD_ARCHIVE"])
        count = len(stream.records(stream.settings.topic_embeddings))
        wait_until(lambda: sum(archive.count(model) for model in archive.models()) == count, 30, "the archive")
        for process in (worker, archiver):
            process.signal(signal.SIGTERM)
            assert process.wait(30) == 0
        yield stream


def as_role(stream: Stream, name: str) -> dict[str, str]:
    return {**stream.environment, "WATCHWORD_SASL_USERNAME": name}


def connection(stream: Stream, name: str) -> Connection:
    return connection_of(stream.settings.model_copy(update={"sasl_username": name}))


def test_worker_and_archive_do_their_job(stream: Stream) -> None:
    audit = stream.audit()
    assert audit.adds_up
    assert audit.verdicts > 2


def test_a_reader_reads_outcomes_lag_history_and_explanations(stream: Stream) -> None:
    reader = as_role(stream, "reader")
    [flag, *_] = output(reader, "read", "flags", "--format", "jsonl").splitlines()
    assert "confirmed" in output(reader, "explain", json.loads(flag)["flag_id"])
    assert json.loads(output(reader, "lag", "--format", "json"))["records"] == 0
    assert len(json.loads(output(reader, "policies", "history", "--format", "json"))) == 1
    assert "unsupported_format" in output(reader, "read", "dead-letters", "--format", "jsonl")


def test_a_reviewer_decides_and_the_exporter_counts(stream: Stream) -> None:
    flag = stream.flags()[0]["flag_id"]
    output(as_role(stream, "reviewer"), "decisions", "add", "upheld", "--flag", flag, "--reviewer", "ana")
    assert '"upheld"' in output(as_role(stream, "reviewer"), "decisions", "show", "--format", "jsonl")
    with TableReader(connection(stream, "exporter"), stream.settings.topic_decisions) as reader:
        assert len(reader.read_new()) >= 1


def test_an_operator_lists_and_requeues_dead_letters(stream: Stream) -> None:
    ensure_topics(stream.connection, [handling_topic(stream.settings)])
    assert [json.loads(line)["reason"] for line in letters(stream, "list", "--format", "jsonl")] == [
        "unsupported_format"
    ]
    letters(stream, "requeue", "--yes")
    assert letters(stream, "list", "--format", "jsonl") == []


def test_an_owner_creates_the_topics(secure_kafka: SecureKafka) -> None:
    name = uuid.uuid4().hex[:10]
    kinds = ("images", "flags", "verdicts", "embeddings", "dead_letters", "dead_letter_handling", "decisions")
    environment = {f"WATCHWORD_TOPIC_{kind.upper()}": f"{name}.{kind}" for kind in (*kinds, "policies")}
    with mock.patch.dict(os.environ, {**user(secure_kafka, "owner"), **environment}):
        settings = Settings()
    grant(plain(secure_kafka), role_named(settings, "owner"), "User:owner")
    wanted = [*topics_of(settings), policy_topic(settings), decision_topic(settings)]
    ensure_topics(connection_of(settings), wanted)
    assert topic_names(plain(secure_kafka)) >= {topic.name for topic in wanted}
    assert ensure_topics(connection_of(settings), wanted) == []


def letters(stream: Stream, *words: str) -> list[str]:
    return output(as_role(stream, "operator"), "dead-letters", *words).splitlines()


def send(stream: Stream, role: str, topic: str) -> None:
    with Publisher(connection(stream, role), max_record_bytes=1 << 20) as publisher:
        publisher.send(Message(getattr(stream.settings, topic), b"k", b"v"))


def read(stream: Stream, role: str, topic: str) -> None:
    list(read_topics(connection(stream, role), [getattr(stream.settings, topic)]))


def publish(stream: Stream, role: str, _: str) -> None:
    with writing(connection(stream, role), stream.settings.topic_policies, max_record_bytes=1 << 20) as writer:
        writer.write({"current": b"{}"})


@pytest.mark.parametrize(
    ("role", "attempt", "topic"),
    [
        ("worker", read, "topic_decisions"),
        ("worker", send, "topic_images"),
        ("worker", publish, "topic_policies"),
        ("archive", read, "topic_images"),
        ("archive", send, "topic_embeddings"),
        ("producer", read, "topic_images"),
        ("publisher", read, "topic_flags"),
        ("reviewer", publish, "topic_policies"),
        ("reviewer", send, "topic_flags"),
        ("exporter", send, "topic_decisions"),
        ("reader", send, "topic_decisions"),
        ("reader", read, "topic_decisions"),
        ("operator", read, "topic_flags"),
        ("nobody", read, "topic_flags"),
    ],
)
def test_a_role_is_refused_what_is_not_its_job(
    stream: Stream, role: str, attempt: Callable[[Stream, str, str], None], topic: str
) -> None:
    with pytest.raises(UsageError, match="lacks a right, and `watchword topics acls` lists"):
        attempt(stream, role, topic)


def test_a_worker_without_a_right_exits_with_2_and_names_the_resource(stream: Stream) -> None:
    """Here it may describe its topics, and not write to them."""
    describe = Right(Resource.TOPIC, stream.settings.topic_embeddings, Operation.DESCRIBE)
    grant(stream.connection, Role("clerk", "", (describe,)), "User:reader")
    worker = stream.worker(WATCHWORD_SASL_USERNAME="reader")
    assert worker.wait(60) == 2
    last = json.loads(worker.tail(1))
    assert last["event"] == "stopped"
    assert f"WRITE on `{stream.settings.topic_flags}`, WRITE on" in last["message"]
    assert "watchword topics acls" in last["message"]


def test_a_tool_without_a_right_is_a_clear_error(stream: Stream) -> None:
    error = run_tool(as_role(stream, "nobody"), "lag").exception
    assert isinstance(error, UsageError)
    assert "topics acls" in str(error)
