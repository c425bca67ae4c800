"""Dead letters on a stream without a worker, and a requeue that is killed again and again."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipeline.broker.producer import Message, writer_id
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.emit.dead_letters import dead_letter_record
from pipeline.errors import DeadLetterReason
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Headers, Origin, Record
from pipeline.events.wire.versions import header_text
from tests.support.archiving import PYTHON
from tests.support.golden.outcomes import TIME
from tests.support.stream import Stream
from tests.support.transactions import Transaction, transactions

REQUEUED_FROM = "watchword-requeued-from"
LIMIT_BYTES = 1 << 20


def letter(
    stream: Stream,
    offset: int,
    *,
    partition: int = 0,
    topic: str | None = None,
    key: bytes | None = b"key",
    value: bytes | None = b"no image",
    headers: Headers | None = None,
    reason: DeadLetterReason = DeadLetterReason.CORRUPT_IMAGE,
    timestamp_ms: int | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Message:
    """The dead letter of a record that was on the stream's input topic a moment ago."""
    origin = Origin(topic or stream.settings.topic_images, partition, offset)
    own = ((("ce_id", f"e{offset}".encode()), ("ce_source", b"tests"))) if headers is None else headers
    timestamp_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    record = Record(origin, key, value, own, timestamp_ms)
    encoded = dead_letter_record(DeadLetter(record, reason, "broken data stream", TIME), limit_bytes)
    return Message(stream.settings.topic_dead_letters, encoded.key, encoded.value, encoded.headers)


def send_letters(stream: Stream, letters: Iterable[Message]) -> None:
    with Publisher(stream.connection, max_record_bytes=stream.settings.max_record_bytes) as publisher:
        for each in letters:
            publisher.send(each)


def requeued(stream: Stream) -> Counter[str]:
    """Number of records on the input topic by the origin that they were requeued from, as a worker sees them."""
    records = read_topics(stream.connection, [stream.settings.topic_images])
    found = (header_text(record.headers, REQUEUED_FROM) for record in records)
    return Counter(each for each in found if each is not None)


@dataclass
class KilledRequeue:
    """What happened: kills, those that hit an open transaction, letters left for the run that was not killed."""

    kills: int = 0
    open_kills: int = 0
    left: int = 0
    seconds: float = 0.0
    requeued: Counter[str] = field(default_factory=Counter)

    @property
    def doubled(self) -> int:
        return sum(count - 1 for count in self.requeued.values())

    def line(self, expected: int) -> str:
        return (
            f"{self.kills} kills ({self.open_kills} with an open transaction), which left {self.left} letters to the "
            f"last run, {self.seconds:.0f} s: {len(self.requeued)} of {expected} letters requeued, "
            f"{self.doubled} doubled, {expected - len(self.requeued)} missing"
        )


class Killer:
    """Requeues everything on a stream, with kills at random moments. `command` may be one that is broken on purpose."""

    def __init__(
        self,
        stream: Stream,
        *,
        rate: float,
        seed: int,
        say: Callable[[str], object] = print,
        command: tuple[str, ...] = PYTHON,
    ) -> None:
        self._stream, self._rate, self._say, self._command = stream, rate, say, command
        self._choose, self._clock = random.Random(seed), threading.Event()
        self._name = writer_id(stream.settings.topic_dead_letter_handling)

    def run(self, kills: int) -> KilledRequeue:
        """Start a requeue and kill it, up to `kills` times while it has work; then let it finish, and run again."""
        toll, started = KilledRequeue(), time.monotonic()
        with transactions(self._stream.stack.bootstrap_servers) as last:
            while toll.kills < kills and self._kill(toll, lambda: last(self._name)):
                pass
        said = [self._finish() for _ in range(2)]
        toll.left = int(said[0].split()[0]) if said[0] else 0
        toll.seconds, toll.requeued = time.monotonic() - started, requeued(self._stream)
        return toll

    def _kill(self, toll: KilledRequeue, last: Callable[[], Transaction]) -> bool:
        """Start a requeue and kill it; False when it ended before."""
        stale = last().started_ms  # of a run that was killed before: open until the next run or a time-out ends it
        process = start_requeue(self._stream, "--rate", str(self._rate), command=self._command)
        self._wait_for_moment(process, lambda: _opened(last(), stale))
        process.kill()
        was_open = _opened(last(), stale)
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            return False
        toll.kills, toll.open_kills = toll.kills + 1, toll.open_kills + was_open
        self._say(f"killed a requeue{' with an open transaction' if was_open else ''}")
        return True

    def _wait_for_moment(self, process: "subprocess.Popen[str]", is_open: Callable[[], bool]) -> None:
        """Wait for the first transaction and some more time; then, four times in five, for an open transaction."""
        if self._choose.random() < 0.15:  # while it starts, reads and plans
            self._clock.wait(self._choose.uniform(0.1, 1.5))
            return
        _until(lambda: is_open() or process.poll() is not None, 20)
        self._clock.wait(self._choose.uniform(0.0, 1.0))
        if self._choose.random() < 0.8:
            _until(lambda: is_open() or process.poll() is not None, 2)

    def _finish(self) -> str:
        process = start_requeue(self._stream)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        self._say(out.strip() or err.strip())
        return out


def start_requeue(stream: Stream, *words: str, command: tuple[str, ...] = PYTHON) -> "subprocess.Popen[str]":
    environment = {**os.environ, **stream.environment}
    return subprocess.Popen(
        [*command, "dead-letters", "requeue", "--yes", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _opened(transaction: Transaction, stale_ms: int) -> bool:
    return transaction.open and transaction.started_ms != stale_ms


def _until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        pass
