"""Transactions: everything a chunk causes and its input offsets, together or not at all."""

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
from pipeline.errors import BrokerFault, CommitAborted, CommitOverdue, UsageError, WatchwordError
from pipeline.events.chunks import Span
from pipeline.events.records import Headers

ResultT = TypeVar("ResultT")

# Records wait for each other up to this size; the broker holds a topic's limit against the whole batch.
LARGEST_BATCH_BYTES = 256 << 10
# A transaction that failed after so much of its time is taken to be too large for the time it has.
SLOW_SHARE = 0.5
# One request may take this share of a commit's deadline.
REQUEST_SHARE = 0.9
# What ending a producer may take: nobody waits for it.
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """One record to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


def transactional_id(group_id: str, instance_id: str) -> str:
    """Return the id of a worker's transactions: no two workers of two groups have one, whatever they are called."""
    return f"{quote(group_id, safe='')}/{instance_id}"


def send_message(producer: KafkaProducer, message: Message) -> FutureRecordMetadata:
    """Hand one message to the client, which sends it in the background."""
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

    The client's own waits for a commit have no deadline, so each transaction runs in a thread that is given up on when
    the deadline passes; its outcome is then unknown. After any failure the producer is thrown away and `recover` makes
    a new one, which ends whatever the old one left: after it, what is committed is what counts. Aborting and going on
    with the same producer is no way: kafka-python 3.0.12 keeps the offsets of a refused `send_offsets_to_transaction`
    and sends them again with those of its next transaction, which skips records that were never judged.
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
            "linger_ms": 20,  # a transaction is flushed once it is whole
            "compression_type": None if compression == "none" else compression,
            "allow_auto_create_topics": False,
        }
        self._producer: KafkaProducer | None = None

    @property
    def ready(self) -> bool:
        """A producer is there, and whole."""
        return self._producer is not None

    def recover(self) -> None:
        """
        Make a new producer and end what an earlier one with this id left open. Raises `BrokerFault`: try again.

        A producer that is whole is left as it is.
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

        Raises `CommitAborted` when it did not, or may not have, committed: call `recover` and read again from what is
        committed; `CommitOverdue` when that was for want of time. Refused because the member was replaced in its group,
        it is aborted like any other: whether it replaced itself or another worker did is for the member to find out.
        """
        producer = self._producer
        if producer is None:
            raise CommitAborted("there is no producer; recover first")
        offsets = {TopicPartition(topic, span.partition): OffsetAndMetadata(span.end, "", -1) for span in spans}
        started = time.monotonic()
        try:
            self._in_time(lambda: self._transact(producer, messages, offsets, group_metadata))
        except UsageError:
            self._give_up(producer)
            raise
        except WatchwordError as error:
            self._give_up(producer)
            kind = CommitOverdue if time.monotonic() - started > self._slow_s else CommitAborted
            raise kind(str(error)) from error

    def close(self) -> None:
        """Close without waiting for anything."""
        if self._producer is not None:
            self._give_up(self._producer)

    def _transact(
        self,
        producer: KafkaProducer,
        messages: Iterable[Message],
        offsets: dict[TopicPartition, OffsetAndMetadata],
        group_metadata: ConsumerGroupMetadata,
    ) -> None:
        deadline = time.monotonic() + self._commit_timeout_s
        producer.begin_transaction()
        futures = [send_message(producer, message) for message in messages]
        producer.flush(timeout=self._commit_timeout_s)
        # A commit was seen to return while a batch had expired: every record is known to be stored first.
        for future in futures:
            future.get(timeout=max(0.0, deadline - time.monotonic()))
        producer.send_offsets_to_transaction(offsets, group_metadata)
        producer.commit_transaction()

    def _give_up(self, producer: KafkaProducer) -> None:
        self._producer = None
        threading.Thread(target=_end, args=(producer,), name="producer-close", daemon=True).start()

    def _in_time(self, work: Callable[[], ResultT]) -> ResultT:
        """Run `work` under the commit deadline. Raises our errors; `BrokerFault` when the deadline passed."""
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
    End a producer and its thread, whatever it has not sent.

    `close` alone flushes first and, when that is not done in time, raises and leaves the thread: without a broker it
    then asks for metadata in a loop, at a whole core, for as long as the process lives (kafka-python 3.0.12).
    """
    producer._sender.force_close()  # noqa: SLF001
    with contextlib.suppress(KafkaError):
        producer.close(timeout=CLOSE_S)
