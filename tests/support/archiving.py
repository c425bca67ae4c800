"""An archiver that is killed again and again, and a comparison of the archive with the sent embeddings."""

import hashlib
import random
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.archive.dataset import Archive, vectors_of
from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.topics import committed_and_end
from pipeline.stack.worker_process import WorkerProcess
from tests.support.stream import Stream
from tests.support.waiting import wait_until

MODEL = "d" * 64
DIMENSION = 64
PYTHON = (sys.executable, "-m", "pipeline")
COMMAND = (*PYTHON, "archive", "run")


@dataclass(frozen=True)
class Kept:
    """Content of the archive: the number of rows, and how many are duplicated, missing or altered."""

    rows: int
    doubled: int
    missing: int
    altered: int
    kills: int


def send_embeddings(stream: Stream, count: int) -> None:
    """Put embeddings of images that do not exist on the topic, in the form that a worker writes."""
    topic = stream.settings.topic_embeddings
    with Publisher(stream.connection, max_record_bytes=1 << 20) as publisher:
        for number in range(count):
            headers = {
                "ce_time": "2031-05-01T10:00:00.000Z",
                "dtype": "float16-le",
                "dimension": str(DIMENSION),
                "model-digest": MODEL,
                "content-digest": content_digest(number),
                "event-id": f"e{number}",
                "event-source": "tests",
                "event-time": "",
                "event-attributes": "{}",
                "policy-set-digest": "e" * 64,
                "origin": f"images/{number % 4}/{number}",
            }
            told = tuple((name, text.encode()) for name, text in headers.items())
            publisher.send(Message(topic, str(number).encode(), vector(number).tobytes(), told))


def content_digest(number: int) -> str:
    return hashlib.sha256(f"c{number}".encode()).hexdigest()


def vector(number: int) -> "np.ndarray[tuple[int], np.dtype[np.float16]]":
    return np.random.default_rng(number).normal(size=DIMENSION).astype("<f2")


def kill_and_count(stream: Stream, folder: Path, *, count: int, kills: int, seed: int) -> Kept:
    """Archive `count` embeddings, the writer killed `kills` times while it works."""
    pick, pause = random.Random(seed), threading.Event()
    environment = {
        "WATCHWORD_ARCHIVE": str(folder),
        "WATCHWORD_ARCHIVE_BATCH_ROWS": "400",
        "WATCHWORD_ARCHIVE_FLUSH_S": "0.2",
        "WATCHWORD_ARCHIVE_COMPACT_EVERY": "7",
    }
    done, group = 0, f"{stream.settings.group_id}-archive"

    def committed() -> int:
        places = committed_and_end(stream.connection, group, stream.settings.topic_embeddings)
        return sum(each for each, _ in places.values())

    for number in range(kills + 1):
        last = number == kills
        writer = stream.worker(COMMAND, WATCHWORD_INSTANCE_ID=f"{stream.name}-archiver", **environment)
        # What it is killed in the middle of is a matter of chance, once it has written something.
        goal = count if last else min(count - 1, done + count // (kills + 2))
        _wait(writer, committed, goal)
        if not last:
            pause.wait(pick.random() * 0.4)
            writer.kill()
        done = committed()
    return _kept(Archive(str(folder)), count, kills)


def _wait(writer: WorkerProcess, committed: "object", goal: int) -> None:
    assert callable(committed)

    def reached() -> bool:
        assert writer.running(), f"the archiver ended:\n{writer.tail(40)}"
        return int(committed()) >= goal

    wait_until(reached, 120, f"{goal} embeddings archived", 0.2)


def _kept(archive: Archive, count: int, kills: int) -> Kept:
    seen: Counter[str] = Counter()
    altered = 0
    for batch in archive.scan(MODEL, ["key", "event_id", "vector"]):
        keys, ids = batch.column("key").to_pylist(), batch.column("event_id").to_pylist()
        seen.update(keys)
        altered += sum(
            not np.array_equal(found, vector(int(event_id[1:])))
            for event_id, found in zip(ids, vectors_of(batch), strict=True)
        )
    expected = {f"images/{number % 4}/{number}" for number in range(count)}
    doubled = sum(times > 1 for times in seen.values())
    return Kept(seen.total(), doubled, len(expected - seen.keys()), altered, kills)
