"""The transactional sink: a chunk's outcomes and its input offsets in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.broker.consumer import Polled
from pipeline.broker.producer import Message, TransactionalProducer
from pipeline.emit.formats import Encoded, dead_letter_record, embedding_record, flag_record, verdict_record
from pipeline.events.outcomes import DeadLetter, Verdict


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where each kind of outcome goes."""

    flags: str
    verdicts: str
    embeddings: str
    dead_letters: str


class KafkaSink:
    """Emits to the four topics, exactly once for readers at `read_committed`."""

    def __init__(self, producer: TransactionalProducer, topics: OutputTopics, *, input_topic: str) -> None:
        self._producer = producer
        self._topics = topics
        self._input_topic = input_topic

    def recover(self) -> None:
        """Have a working producer and no transaction left open. Raises `BrokerFault`: try again."""
        self._producer.recover()

    def emit(self, polled: Polled, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]) -> None:
        """Commit everything a chunk causes. Raises `CommitAborted` when nothing of it is known to be committed."""
        messages = list(self._messages(verdicts, dead_letters))
        self._producer.commit(messages, self._input_topic, polled.spans, polled.membership)

    def close(self) -> None:
        """Close without waiting."""
        self._producer.close()

    def _messages(self, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]) -> Iterator[Message]:
        topics = self._topics
        for verdict in verdicts:
            yield _message(topics.verdicts, verdict_record(verdict))
            yield _message(topics.embeddings, embedding_record(verdict))
            for flag in verdict.flags:
                yield _message(topics.flags, flag_record(verdict, flag))
        for letter in dead_letters:
            yield _message(topics.dead_letters, dead_letter_record(letter))


def _message(topic: str, encoded: Encoded) -> Message:
    return Message(topic, encoded.key, encoded.value, encoded.headers)
