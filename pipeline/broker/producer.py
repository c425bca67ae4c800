"""Transactions: the output records of a chunk and its input offsets, committed together or not at all."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from pipeline.broker.connection import Connection, translate, translated
from pipeline.errors import BrokerFault, CommitAborted, CommitOverdue, RefusedByBroker, UsageError, WatchwordError
from pipeline.events.chunks import Span
from pipeline.events.records import Headers

ResultT = TypeVar("ResultT")

# The client collects records into batches of up to this size. The broker applies a topic's limit to the whole batch.
LARGEST_BATCH_BYTES = 256 << 10
# A transaction that failed after this share of its time is assumed to be too large for the time it has.
SLOW_SHARE = 0.5
# One request may take this share of a commit's deadline.
REQUEST_SHARE = 0.9
# The time limit for closing a producer, in a thread that nobody waits for.
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


def transactional_id(group_id: str, instance_id: str) -> str:
    """Return a worker's transactional id. It is unique among the workers of all groups, for any names of both."""
    return f"{transactional_prefix(group_id)}{instance_id}"


def transactional_prefix(group_id: str) -> str:
    """Return the beginning of the transactional ids of a group's workers, and of no other group's."""
    return f"{quote(group_id, safe='')}/"


def writer_id(topic: str) -> str:
    """Return the transactional id of the only writer of a topic: a new writer fences the one before it."""
    return f"watchword-writer-{topic}"


def send_message(producer: KafkaProducer, message: Message) -> FutureRecordMetadata:
    """Pass a message to the client, which sends it in the background."""
    return producer.send(
        message.topic,
        value=message.value,
        key=message.key,
        headers=list(message.headers),
        partition=message.partition,
        timestamp_ms=message.timestamp_ms,
    )


class TransactionalProducer:
    """
    Commits one transaction at a time under one `transactional.id`. Used by one thread at a time.

    The client waits for a commit without a deadline. Each transaction therefore runs in a thread, which is abandoned
    when the deadline passes; the outcome is then unknown. After any failure the producer is discarded, and `recover`
    creates a new one, which ends the transactions of the old one. After that the committed offsets are certain.
    Aborting and continuing with the same producer does not work: kafka-python 3.0.12 keeps the offsets of a refused
    `send_offsets_to_transaction` and sends them with its next transaction, which skips records that were never judged.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        instance_id: str,
        transactional_id: str,
        transaction_timeout_s: float,
        commit_timeout_s: float,
        max_record_bytes: int,
        max_batch_bytes: int = LARGEST_BATCH_BYTES,
        compression: str = "gzip",
    ) -> None:
        self._commit_timeout_s = commit_timeout_s
        self._slow_s = SLOW_SHARE * min(transaction_timeout_s, commit_timeout_s)
        self._options: dict[str, Any] = {
            **connection.client_options(),
            "client_id": instance_id,
            "transactional_id": transactional_id,
            "transaction_timeout_ms": int(transaction_timeout_s * 1000),
            "delivery_timeout_ms": int(commit_timeout_s * 1000),
            "request_timeout_ms": int(commit_timeout_s * 1000 * REQUEST_SHARE),
            "max_block_ms": int(commit_timeout_s * 1000),
            "max_request_size": max_record_bytes + (1 << 20),
            "batch_size": min(LARGEST_BATCH_BYTES, max_batch_bytes),
            "linger_ms": 20,  # a complete transaction is flushed without this wait
            "compression_type": None if compression == "none" else compression,
            "allow_auto_create_topics": False,
        }
        self._producer: KafkaProducer | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a producer that has not failed."""
        return self._producer is not None

    def recover(self) -> None:
        """
        Create a new producer, unless the present one has not failed, and end open transactions of earlier ones.

        Raises `BrokerFault`; try again then.
        """
        if self._producer is not None:
            return
        with translated():
            producer = KafkaProducer(**self._options)
            try:
                producer.init_transactions()
            except KafkaError:
                _end(producer)
                raise
        self._producer = producer

    def commit(
        self,
        messages: Iterable[Message],
        topic: str,
        spans: Sequence[Span],
        group_metadata: ConsumerGroupMetadata,
    ) -> None:
        """
        Send `messages` and the end of `spans` of `topic` in one transaction.

        Raises `CommitAborted` when the transaction was not, or may not have been, committed: call `recover` and read
        again from the committed offsets. Raises `CommitOverdue` when it took too long. A transaction that is refused
        because the group's member was replaced is aborted like any other: the consumer finds out whether the member
        replaced itself or another worker did.
        """
        offsets = {TopicPartition(topic, span.partition): OffsetAndMetadata(span.end, "", -1) for span in spans}
        self._commit(messages, offsets, group_metadata)

    def commit_records(self, messages: Iterable[Message]) -> None:
        """Send `messages` in one transaction, without offsets of a group. Raises the errors of `commit`."""
        self._commit(messages, {}, None)

    def close(self) -> None:
        """Close without waiting."""
        if self._producer is not None:
            self._give_up(self._producer)

    def _commit(
        self,
        messages: Iterable[Message],
        offsets: dict[TopicPartition, OffsetAndMetadata],
        group_metadata: ConsumerGroupMetadata | None,
    ) -> None:
        producer = self._producer
        if producer is None:
            raise CommitAborted("there is no producer; recover first")
        started = time.monotonic()
        try:
            self._in_time(lambda: self._transact(producer, messages, offsets, group_metadata))
        except RefusedByBroker as error:
            self._give_up(producer)
            raise CommitAborted(str(error)) from error
        except UsageError:
            self._give_up(producer)
            raise
        except WatchwordError as error:
            self._give_up(producer)
            kind = CommitOverdue if time.monotonic() - started > self._slow_s else CommitAborted
            raise kind(str(error)) from error

    def _transact(
        self,
        producer: KafkaProducer,
        messages: Iterable[Message],
        offsets: dict[TopicPartition, OffsetAndMetadata],
        group_metadata: ConsumerGroupMetadata | None,
    ) -> None:
        deadline = time.monotonic() + self._commit_timeout_s
        producer.begin_transaction()
        futures = [send_message(producer, message) for message in messages]
        producer.flush(timeout=self._commit_timeout_s)
        # A commit can succeed although a batch has expired, so first wait until every record is stored.
        for future in futures:
            future.get(timeout=max(0.0, deadline - time.monotonic()))
        if group_metadata is not None:
            producer.send_offsets_to_transaction(offsets, group_metadata)
        producer.commit_transaction()

    def _give_up(self, producer: KafkaProducer) -> None:
        self._producer = None
        threading.Thread(target=_end, args=(producer,), name="producer-close", daemon=True).start()

    def _in_time(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` under the commit deadline. Raises our errors, and `BrokerFault` when the deadline passes."""
        outcome: list[ResultT] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001 -- handed to the caller, which raises it
                failure.append(error)

        thread = threading.Thread(target=run, name="transaction", daemon=True)
        thread.start()
        thread.join(self._commit_timeout_s)
        if failure and isinstance(failure[0], KafkaError):
            raise translate(failure[0]) from failure[0]
        if failure:
            raise failure[0]
        if not outcome:
            raise BrokerFault(f"no answer from the broker within {self._commit_timeout_s} s")
        return outcome[0]


def _end(producer: KafkaProducer) -> None:
    """
    Close a producer and its thread, and discard unsent records.

    `close` alone flushes first. If that takes too long, it raises and leaves the thread running. Without a broker the
    thread then requests metadata in a loop and uses a whole core until the process ends (kafka-python 3.0.12).
    """
    producer._sender.force_close()  # noqa: SLF001
    with contextlib.suppress(KafkaError):
        producer.close(timeout=CLOSE_S)
