"""Transactional sink: the outcomes of a chunk and its input offsets are in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.broker.producer import Message, TransactionalProducer
from pipeline.emit.dead_letters import dead_letter_record
from pipeline.emit.encoded import Encoded
from pipeline.emit.formats import embedding_record, flag_record, verdict_record
from pipeline.errors import DeadLetterReason
from pipeline.events.chunks import Chunk
from pipeline.events.outcomes import DeadLetter, Verdict


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Names of the output topics, one for each kind of record."""

    flags: str
    verdicts: str
    embeddings: str
    dead_letters: str

    def names(self) -> tuple[str, ...]:
        """Return all four names."""
        return self.flags, self.verdicts, self.embeddings, self.dead_letters


class KafkaSink:
    """
    Writes to the four topics, exactly once for readers at `read_committed`.

    `admitted` returns the largest record that each topic admits, in bytes; it may raise `BrokerFault`. An image whose
    verdict, flags or embedding would not fit becomes a dead letter, so that no record stops the stream.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        topics: OutputTopics,
        *,
        input_topic: str,
        admitted: Callable[[], dict[str, int]],
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._input_topic = input_topic
        self._ask_admitted = admitted
        self._admitted: dict[str, int] = {}

    def recover(self) -> None:
        """Make the producer ready, with no open transaction. Raises `BrokerFault`; the caller then tries again."""
        if not self._producer.ready:
            self._admitted = self._ask_admitted()
        self._producer.recover()

    def emit(
        self, chunk: Chunk, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]
    ) -> Sequence[DeadLetter]:
        """
        Commit the outcomes of a chunk, and return the dead letters that replace verdicts too large for a topic.

        Raises `CommitAborted` unless the transaction is known to be committed.
        """
        messages: list[Message] = []
        refused: list[DeadLetter] = []
        for verdict in verdicts:
            outputs = self._outputs(verdict)
            if problem := self._too_large(outputs):
                refused.append(_refusal(chunk, verdict, problem))
            else:
                messages += [_message(topic, encoded) for topic, encoded in outputs]
        for letter in (*dead_letters, *refused):
            topic = self._topics.dead_letters
            messages.append(_message(topic, dead_letter_record(letter, self._admitted[topic])))
        self._producer.commit(messages, self._input_topic, chunk.spans, chunk.group_metadata)
        return refused

    def close(self) -> None:
        """Close without waiting."""
        self._producer.close()

    def _outputs(self, verdict: Verdict) -> list[tuple[str, Encoded]]:
        topics = self._topics
        return [
            (topics.verdicts, verdict_record(verdict)),
            (topics.embeddings, embedding_record(verdict)),
            *((topics.flags, flag_record(verdict, flag)) for flag in verdict.flags),
        ]

    def _too_large(self, outputs: Sequence[tuple[str, Encoded]]) -> str | None:
        for topic, encoded in outputs:
            if (size := encoded.size_bytes) > self._admitted[topic]:
                return f"its record of {size} bytes for `{topic}`, which admits {self._admitted[topic]}"
        return None


def _refusal(chunk: Chunk, verdict: Verdict, problem: str) -> DeadLetter:
    origin = verdict.image.event.origin
    record = next(each for each in chunk.records if each.origin == origin)
    return DeadLetter(record, DeadLetterReason.TOO_LARGE, f"the outcome is too large: {problem}", datetime.now(UTC))


def _message(topic: str, encoded: Encoded) -> Message:
    return Message(topic, encoded.key, encoded.value, encoded.headers)
