"""
A worker that is made slow to commit, and in two modes wrong: it proves that the harness sees what it must see.

`slow` only waits inside its transactions and must still be right. `uncommitted` reads uncommitted, so at a hand-over it
does not wait for offsets that are about to be committed. `generation` commits a chunk with the group's metadata of now,
not of the chunk's own poll, so partitions it has lost meanwhile are accepted.
"""

import sys
import threading
from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer

from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.producer import Message, TransactionalProducer, send_message
from pipeline.settings import Settings, load_settings
from pipeline.stream import build, run
from pipeline.telemetry.logs import configure_logging

# Before the offsets are sent, and before the commit.
DELAYS_S = {"slow": (1.0, 1.0), "uncommitted": (0.0, 2.0), "generation": (2.0, 0.0)}


class SlowProducer(TransactionalProducer):
    """Waits before the offsets are sent or before the commit."""

    before_offsets_s = 0.0
    before_commit_s = 0.0
    consumer: GroupConsumer | None = None

    def _transact(
        self, producer: KafkaProducer, messages: Iterable[Message], offsets: Any, group_metadata: Any
    ) -> None:
        producer.begin_transaction()
        futures = [send_message(producer, m) for m in messages]
        producer.flush(timeout=10)
        for future in futures:
            future.get(timeout=10)
        threading.Event().wait(self.before_offsets_s)
        producer.send_offsets_to_transaction(
            offsets, self.consumer.group_metadata() if self.consumer else group_metadata
        )
        threading.Event().wait(self.before_commit_s)
        producer.commit_transaction()


def main(mode: str) -> None:
    class Consumer(GroupConsumer):
        def __init__(self, *given: Any, **named: Any) -> None:
            if mode == "uncommitted":
                named["isolation_level"] = "read_uncommitted"
            super().__init__(*given, **named)
            if mode == "generation":
                SlowProducer.consumer = self

    before_offsets_s, before_commit_s = DELAYS_S[mode]
    SlowProducer.before_offsets_s, SlowProducer.before_commit_s = before_offsets_s, before_commit_s
    faults = {"GroupConsumer": Consumer, "TransactionalProducer": SlowProducer}
    vars(build).update(faults)
    settings = load_settings(Settings)
    configure_logging("json", "debug")
    run.run_worker(settings)


if __name__ == "__main__":
    main(sys.argv[1])
