"""The broker adapter on the real broker: the effects of a transaction, and none on the next one."""

import threading
import time
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from kafka import KafkaProducer
from kafka.structs import MemberState, TopicPartition

from pipeline.broker.connection import Connection
from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.producer import Message, TransactionalProducer
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import Topic, committed_and_end, ensure_topics
from pipeline.errors import BrokerFault, CommitAborted, InstanceTaken
from pipeline.events.chunks import Chunk, Span
from tests.support.stream import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


class Bench:
    """An input topic with records on two partitions, an output topic, and a group."""

    def __init__(self, stack: Stack) -> None:
        self.name = f"c{uuid.uuid4().hex[:10]}"
        self.connection = Connection(stack.bootstrap_servers)
        self.topic, self.out = f"{self.name}.in", f"{self.name}.out"
        ensure_topics(self.connection, [Topic(self.topic, 2, 1 << 20), Topic(self.out, 1, 1 << 20)])
        with Publisher(self.connection, max_record_bytes=1 << 20) as publisher:
            for n in range(10):
                publisher.send(Message(self.topic, None, b"%d" % n, partition=n % 2))

    def consumer(self, instance_id: str | None = None, clock: Callable[[], float] = time.monotonic) -> GroupConsumer:
        return GroupConsumer(
            self.connection,
            topic=self.topic,
            group_id=self.name,
            instance_id=instance_id or self.name,
            session_timeout_s=6,
            max_record_bytes=1 << 20,
            clock=clock,
        )

    def producer(self) -> TransactionalProducer:
        made = TransactionalProducer(
            self.connection,
            instance_id=self.name,
            transactional_id=self.name,
            transaction_timeout_s=10,
            commit_timeout_s=10,
            max_record_bytes=1 << 20,
        )
        made.recover()
        return made

    def commit(self, producer: TransactionalProducer, polled: Chunk, spans: tuple[Span, ...], value: bytes) -> None:
        producer.commit([Message(self.out, b"k", value)], self.topic, spans, polled.group_metadata)

    def committed(self) -> dict[int, int]:
        places = committed_and_end(self.connection, self.name, self.topic)
        return {partition: done for partition, (done, _) in places.items()}

    def values(self) -> list[bytes | None]:
        return [record.value for record in read_topics(self.connection, [self.out])]


def poll_all(consumer: GroupConsumer) -> Chunk:
    """Go back to what is committed, then poll once everything has arrived."""

    def rewound() -> bool:
        if consumer.rewind(10) is not None:
            return True
        consumer.keep_alive(0.1)
        return False

    wait_until(rewound, 30, "an assignment")
    return next_chunk(consumer.poll)


def next_chunk(poll: Callable[[float, int, int], Chunk | None]) -> Chunk:
    found: list[Chunk] = []

    def arrived() -> bool:
        polled = poll(0.5, 100, 1 << 20)
        if polled is not None:
            found.append(polled)
        return bool(found)

    wait_until(arrived, 30, "records")
    return found[0]


def test_a_refused_transaction_leaves_nothing_to_the_next_one(stack: Stack) -> None:
    """
    Offsets that the broker refused, for a generation that has passed, do not ride along with the next commit.

    They did with kafka-python 3.0.12 when a producer went on after its abort: the group's offset then moved over
    records that nobody had judged.
    """
    bench = Bench(stack)
    consumer, producer = bench.consumer(), bench.producer()
    polled = poll_all(consumer)
    stale = Chunk(
        polled.records,
        polled.spans,
        polled.group_metadata._replace(generation_id=polled.group_metadata.generation_id + 7),
    )
    with pytest.raises(CommitAborted):
        bench.commit(producer, stale, (Span(0, 0, 5),), b"refused")
    producer.recover()
    bench.commit(producer, polled, (Span(1, 0, 3),), b"good")
    assert bench.committed() == {0: 0, 1: 3}
    assert bench.values() == [b"good"]
    producer.close()
    consumer.close(1)


def test_a_chunk_starts_where_the_last_one_ended_and_a_rewind_goes_back(stack: Stack) -> None:
    bench = Bench(stack)
    consumer, producer = bench.consumer(), bench.producer()
    polled = poll_all(consumer)
    assert all(span.start == 0 for span in polled.spans)
    bench.commit(producer, polled, (Span(0, 0, 2),), b"two")
    assert consumer.rewind(10) == {0: 2, 1: 0}
    again = next_chunk(consumer.poll)
    first = {record.origin.partition: record.origin.offset for record in reversed(again.records)}
    assert first == {span.partition: span.start for span in again.spans}
    producer.close()
    consumer.close(1)


def test_a_reader_waits_for_what_stands_in_an_open_transaction(stack: Stack) -> None:
    """A commit whose end is only being written is read whole: what came in before the call is not left out."""
    bench = Bench(stack)
    producer = KafkaProducer(**bench.connection.client_options(), transactional_id=bench.name)
    producer.init_transactions()
    for value, end in ((b"slow", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.send(bench.out, value).get(timeout=10)
        later = threading.Timer(2.0, end)
        later.start()
        assert bench.values() == [b"slow"]
        later.join()
    producer.close()


def test_a_newer_producer_ends_the_transaction_of_an_older_one(stack: Stack) -> None:
    """A restarted worker unblocks readers at once, and the older producer can commit nothing any more."""
    bench = Bench(stack)
    consumer, older = bench.consumer(), bench.producer()
    polled = poll_all(consumer)
    newer = bench.producer()
    with pytest.raises(CommitAborted):
        bench.commit(older, polled, (Span(0, 0, 5),), b"older")
    bench.commit(newer, polled, (Span(0, 0, 4),), b"newer")
    assert bench.values() == [b"newer"]
    assert bench.committed()[0] == 4
    newer.close()
    consumer.close(1)


def test_a_commit_that_gets_no_answer_is_given_up_in_time(stack: Stack) -> None:
    """The client would wait for ever; the worker hears `CommitAborted` at the deadline and takes a new producer."""
    bench = Bench(stack)
    consumer, producer = bench.consumer(), bench.producer()
    polled = poll_all(consumer)
    producer._commit_timeout_s = 1.5
    never = threading.Event()

    def stuck() -> list[Message]:
        never.wait(20)
        return []

    class Slow(list[Message]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(stuck())

    with pytest.raises(CommitAborted, match="no answer"):
        producer.commit(Slow(), bench.topic, (Span(0, 0, 5),), polled.group_metadata)
    never.set()
    producer.recover()
    bench.commit(producer, polled, (Span(0, 0, 5),), b"after")
    assert bench.values() == [b"after"]
    producer.close()
    consumer.close(1)


def poll_until_it_raises(consumer: GroupConsumer, kind: type[Exception]) -> None:
    def raised() -> bool:
        try:
            consumer.poll(0.2, 100, 1 << 20)
            if consumer.needs_rewind:
                consumer.rewind(10)
        except kind:
            return True
        return False

    wait_until(raised, 40, f"{kind.__name__}")


def test_a_producer_given_up_leaves_no_thread_behind(stack: Stack) -> None:
    """With records it cannot send, the client's own close raises and leaves its thread running."""
    bench = Bench(stack)
    producer = bench.producer()
    assert producer._producer is not None
    producer._producer._accumulator.muted.add(TopicPartition(bench.out, 0))
    producer._producer.begin_transaction()
    producer._producer.send(bench.out, b"never sent")
    producer.close()

    def running() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith(bench.name)]

    wait_until(lambda: not running(), 10, "the end of its threads")


def test_one_of_two_members_under_one_instance_id_is_told(stack: Stack) -> None:
    """A replaced member rejoins once, which replaces the other one; the one that is replaced again gives up."""
    bench = Bench(stack)
    members = [bench.consumer(), bench.consumer()]
    poll_all(members[0])

    def one_gave_up() -> bool:
        for member in members:
            try:
                keep_going(member)
            except InstanceTaken:
                return True
        return False

    wait_until(one_gave_up, 90, "one of the two to give up")
    for member in members:
        member.close(1)


def test_a_commit_of_a_member_that_was_replaced_is_aborted(stack: Stack) -> None:
    """The producer cannot tell which member replaced it, so the worker reads again and its consumer finds out."""
    bench = Bench(stack)
    consumer, again, producer = bench.consumer(), bench.consumer(), bench.producer()
    polled = poll_all(consumer)
    poll_all(again)
    with pytest.raises(CommitAborted, match="FencedInstanceIdError"):
        bench.commit(producer, polled, polled.spans, b"replaced")
    assert bench.values() == []
    assert bench.committed() == {0: 0, 1: 0}
    producer.close()
    for member in (consumer, again):
        member.close(1)


def test_a_member_that_replaced_itself_joins_anew(stack: Stack) -> None:
    """A client that lost its session may join twice; a fault tells the worker to try again, and it continues."""
    bench = Bench(stack)
    consumer, again = bench.consumer(), bench.consumer()
    poll_all(consumer)
    poll_all(again)
    again.close(1)
    faults: list[BrokerFault] = []
    wait_until(partial(fault_or_keep_going, consumer, faults), 40, "the fault")
    assert consumer.needs_rewind
    assert poll_all(consumer).spans[0].start == 0
    consumer.close(1)


def test_a_member_stopped_again_and_again_joins_anew_each_time(stack: Stack) -> None:
    """Each stop past the session loses it and may end in one fencing of itself; only other workers' are counted."""
    bench = Bench(stack)
    away_s = 0.0
    consumer = bench.consumer(clock=lambda: time.monotonic() + away_s)
    for _ in range(3):
        away_s += 3.5
        poll_all(consumer)
        again = bench.consumer()
        poll_all(again)
        again.close(1)
        faults: list[BrokerFault] = []
        wait_until(partial(fault_or_keep_going, consumer, faults), 40, "the fault")
    consumer.close(1)


def test_a_join_that_outlasts_a_poll_is_seen_through(stack: Stack) -> None:
    """
    Polls too short for a join come to an assignment all the same.

    kafka-python 3.0.12 forgets such a join when new metadata had asked for it, and then waits for ever without one.
    """
    for _ in range(5):
        consumer = Bench(stack).consumer()
        wait_until(partial(rewound_or_idle, consumer), 30, "an assignment")
        consumer.close(1)


def test_going_back_while_others_join_does_not_keep_the_group_going_round(stack: Stack) -> None:
    """
    A member that goes back to what is committed, again and again, lets its own join end first.

    The broker answers one request of a connection at a time: asked for offsets meanwhile, it answers once the join has
    ended, between two polls; the client then begins another, and everyone's with it, for ever.
    """
    bench = Bench(stack)
    leader, follower = bench.consumer(f"{bench.name}-1"), bench.consumer(f"{bench.name}-2")
    poll_all(leader)
    enough = threading.Event()

    def go_back(member: GroupConsumer) -> None:
        while not enough.wait(0.01):
            member.rewind(10)
            member.keep_alive(0.2)

    threads = [threading.Thread(target=go_back, args=(member,)) for member in (leader, follower)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: at_rest([leader, follower]), 45, "both at rest")
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    for member in (leader, follower):
        member.close(1)


def at_rest(members: list[GroupConsumer]) -> bool:
    """Tell whether all members are in one generation, and stay in it for a while."""
    before = [member.group_metadata() for member in members]
    threading.Event().wait(6.0)
    after = [member.group_metadata() for member in members]
    generations = {each.generation_id for each in (*before, *after)}
    return len(generations) == 1 and all(each.state == MemberState.STABLE for each in after)


def rewound_or_idle(consumer: GroupConsumer) -> bool:
    if consumer.rewind(10) is not None:
        return True
    consumer.keep_alive(0.001)
    return False


def keep_going(consumer: GroupConsumer, faults: list[BrokerFault] | None = None) -> bool:
    """Run one turn of a worker's loop; after a fault, note it and return False."""
    try:
        if consumer.needs_rewind:
            consumer.rewind(10)
            consumer.keep_alive(0.2)
        else:
            consumer.poll(0.2, 100, 1 << 20)
    except BrokerFault as fault:
        if faults is not None:
            faults.append(fault)
    return False


def fault_or_keep_going(consumer: GroupConsumer, faults: list[BrokerFault]) -> bool:
    return bool(faults) or keep_going(consumer, faults)
