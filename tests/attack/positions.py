"""Positions that the log does not have: before its start, past its end, and in recreated topics."""

import signal
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import CommitFailedError
from kafka.structs import OffsetAndMetadata, TopicPartition

from pipeline.broker.topics import Topic, delete_topics, ensure_topics
from tests.attack.probes import Probes
from tests.attack.verdict import Say, right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

BEFORE, GAP, AFTER = 50, 200, 50
POSITION_LOST = 5


def attack_positions(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    """A gap of retention is counted and passed; a position past the end stops the worker; new partitions are seen."""
    return (
        _retention(stack, folder, images, say)
        & _past_the_end(stack, folder, images, say)
        & _new_partitions(stack, folder, images, say)
    )


def _retention(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    [port] = free_ports(1)
    with Stream(stack, folder, partitions=1, WATCHWORD_HTTP_PORT=str(port)) as stream:
        worker = stream.worker()
        stream.wait_until_committed(_send(stream, images, 0, BEFORE))
        worker.signal(signal.SIGTERM)
        worker.wait(40)
        _send(stream, images, BEFORE, GAP + AFTER)
        _delete_records(stream, BEFORE + GAP)
        worker.start()
        stream.wait_until_committed(BEFORE + GAP + AFTER)
        missed = Probes(port).metric("watchword_records_missed_total")
        told = '"event": "records_missed"' in worker.tail(200)
        say(f"retention: {missed:.0f} of {GAP} missed records counted, {'logged' if told else 'NOT LOGGED'}")
        counted, content = stream.audit(), stream.content_audit()
        # What was judged before the gap is no longer among the input's records.
        whole = not counted.lost and not counted.duplicated and not content.wrong
        say(f"retention: {counted.verdicts} verdicts of {BEFORE + AFTER}, {content.summary()}")
        return missed == GAP and told and whole and counted.verdicts == BEFORE + AFTER


def _past_the_end(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    with Stream(stack, folder, partitions=1) as stream:
        sent = _send(stream, images, 0, BEFORE)
        _commit(stream, 5000)
        worker = stream.worker()
        code = worker.wait(60)
        told = "docs/operating.md" in worker.tail(5)
        say(f"past the end: exit code {code}, {len(stream.verdicts())} verdicts, {'told' if told else 'NOT TOLD'}")
        stopped = code == POSITION_LOST and told and not stream.verdicts()
        _commit(stream, 0)
        worker.start()
        stream.wait_until_committed(sent)
        return stopped & right(stream, sent, say, "past the end, set right")


def _new_partitions(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    [port] = free_ports(1)
    with Stream(stack, folder, partitions=1, WATCHWORD_HTTP_PORT=str(port)) as stream:
        stream.worker()
        sent = _send(stream, images, 0, BEFORE)
        stream.wait_until_committed(sent)
        admin = KafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
        admin.create_partitions({stream.settings.topic_images: 4})
        admin.close()
        sent += _send(stream, images, BEFORE, BEFORE)
        stream.wait_until_committed(sent, 45)
        held = right(stream, sent, say, "new partitions")
        # The same name, another topic: what comes now is judged from its start.
        name = stream.settings.topic_images
        delete_topics(stream.connection, [name])
        Probes(port).wait_ready(wanted=False, timeout_s=20)
        wait_until(
            lambda: ensure_topics(stream.connection, [Topic(name, 2, 11 << 20)]), 30, "the topic made again", 1.0
        )
        again = _send(stream, images, 0, BEFORE)
        wait_until(lambda: len(stream.verdicts()) == sent + again, 60, "verdicts of the topic made again", 1.0)
        say(f"topic made again: {again} of {again} judged")
        return held


def _send(stream: Stream, images: list[bytes], first: int, count: int) -> int:
    return stream.send(stream.image(f"p{n}", images[n % len(images)]) for n in range(first, first + count))


def _delete_records(stream: Stream, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=stream.stack.bootstrap_servers)
    admin.delete_records({TopicPartition(stream.settings.topic_images, 0): offset})
    admin.close()


def _commit(stream: Stream, offset: int) -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=stream.stack.bootstrap_servers,
        group_id=stream.settings.group_id,
        enable_auto_commit=False,
        metrics_enabled=False,
    )
    place = TopicPartition(stream.settings.topic_images, 0)
    consumer.assign([place])

    def committed() -> bool:
        try:
            consumer.commit({place: OffsetAndMetadata(offset, "", -1)})
        except CommitFailedError:  # the worker's membership outlives it for a session
            return False
        return True

    wait_until(committed, 30, "a commit from outside the group", 0.5)
    consumer.close()
