"""Publisher: sends records with an idempotent producer. Workers use the transactional producer instead."""

from collections import deque
from typing import Any, Self

from kafka import KafkaProducer

from pipeline.broker.connection import Connection, translated
from pipeline.broker.producer import Message, send_message

IN_FLIGHT = 2000


class Publisher:
    """Sends messages in the background. If one is not stored, a later call raises, at the latest when it is closed."""

    def __init__(self, connection: Connection, *, max_record_bytes: int) -> None:
        with translated():
            self._producer = KafkaProducer(
                **connection.client_options(),
                max_request_size=max_record_bytes + (1 << 20),
                batch_size=256 << 10,
                linger_ms=5,
                allow_auto_create_topics=False,
            )
        self._pending: deque[Any] = deque()

    def send(self, message: Message) -> None:
        """Send one message. Raises `BrokerFault` when an earlier one failed."""
        with translated():
            self._pending.append(send_message(self._producer, message))
            if len(self._pending) > IN_FLIGHT:
                self._pending.popleft().get(timeout=60)

    def flush(self) -> None:
        """Wait until every message is stored. Raises `BrokerFault` when one was not."""
        with translated():
            self._producer.flush(timeout=120)
            while self._pending:
                self._pending.popleft().get(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.flush()
        self._producer.close(timeout=5)
