"""`watchword replay --through kafka`: the stream over a broker and Triton, into topics of its own."""

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import committed_and_end, delete_topics, ensure_topics
from pipeline.broker.topology import connection_of, topics_of
from pipeline.cli.console import progress_output
from pipeline.counted import counted
from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledStream
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.evaluation.replay.recorded import RecordedVerdict, retold_dead_letter, retold_verdict
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import read_events
from pipeline.policies.load import load_policy_set
from pipeline.policies.model_compatibility import for_model
from pipeline.settings import PREFIX, Settings, load_settings
from pipeline.stack.worker_process import WorkerProcess
from pipeline.visible import encodable

PAUSE_S = 0.3
PATIENCE_S = 120.0
_TOPICS = ("topic_images", "topic_flags", "topic_verdicts", "topic_embeddings", "topic_dead_letters")


def replay_through_kafka(stream: LabelledStream, policies: Path | None) -> Replayed:
    """Judge a labelled stream by a worker of its own on the broker and Triton of the settings."""
    repeated = len(stream.images) - len({image.id for image in stream.images})
    if repeated:
        raise UsageError(
            f"{counted(repeated, 'image')} with the id of another; through Kafka images are told apart by it"
        )
    folder = policies or load_settings(Settings).policies
    policy_set = for_model(load_policy_set(folder), Bundle.load(load_settings(Settings).model).lineage)
    with _topics_of_its_own() as (settings, environment), tempfile.TemporaryDirectory() as scratch:
        _send(stream, settings)
        worker = WorkerProcess(
            f"{settings.group_id}-1", Path(scratch) / "worker.log", {**environment, f"{PREFIX}POLICIES": str(folder)}
        )
        try:
            _wait(worker.start(), settings, len(stream.images))
        finally:
            worker.kill()
        outcomes = _outcomes(settings, policy_set)
    if missing := [image.id for image in stream.images if encodable(image.id) not in outcomes]:
        raise UsageError(f"no outcome of {counted(len(missing), 'image')}, `{missing[0]}` among them")
    return collect(stream, [outcomes[encodable(image.id)] for image in stream.images])


@contextmanager
def _topics_of_its_own() -> Iterator[tuple[Settings, dict[str, str]]]:
    """Yield settings with topics that last as long as the context, and what a worker's environment needs for them."""
    name = f"replay-{uuid.uuid4().hex[:10]}"
    given = load_settings(Settings)
    changes = {topic: f"{name}.{topic.removeprefix('topic_')}" for topic in _TOPICS}
    changes |= {"group_id": name, "policy_source": "folder"}
    settings = given.model_copy(update=changes)
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    environment = {f"{PREFIX}{key.upper()}": value for key, value in changes.items()}
    try:
        # Whatever share of a labelled stream is broken is for the report to say.
        yield settings, {**environment, f"{PREFIX}HTTP_PORT": "0", f"{PREFIX}ALLOW_DEAD_LETTERS": "true"}
    finally:
        delete_topics(connection, [changes[topic] for topic in _TOPICS])


def _send(stream: LabelledStream, settings: Settings) -> None:
    events = [image.event for image in stream.images]
    with Publisher(connection_of(settings), max_record_bytes=settings.max_record_bytes) as publisher:
        for event, record in zip(events, read_events(events, max_bytes=settings.max_image_bytes), strict=True):
            publisher.send(Message(settings.topic_images, encodable(event.id).encode(), record.value, record.headers))


def _wait(worker: WorkerProcess, settings: Settings, count: int) -> None:
    connection = connection_of(settings)
    columns = (TextColumn("judging through Kafka"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=progress_output(), transient=True) as progress:
        task = progress.add_task("judge", total=count)
        before, since = -1, time.monotonic()
        while True:
            places = committed_and_end(connection, settings.group_id, settings.topic_images)
            done = sum(committed for committed, _ in places.values())
            progress.update(task, completed=done)
            if done >= count:
                return
            if done > before:
                before, since = done, time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                raise UsageError(f"nothing was judged for {PATIENCE_S:.0f} s; the worker says:\n{worker.tail()}")
            if not worker.running():
                raise UsageError(f"the worker ended with {worker.exit_code()}:\n{worker.tail()}")
            time.sleep(PAUSE_S)


def _outcomes(settings: Settings, policy_set: PolicySet) -> dict[str, RecordedVerdict | DeadLetter]:
    connection = connection_of(settings)
    verdicts = (retold_verdict(each, policy_set) for each in read_topics(connection, [settings.topic_verdicts]))
    letters = (retold_dead_letter(each) for each in read_topics(connection, [settings.topic_dead_letters]))
    found: dict[str, RecordedVerdict | DeadLetter] = dict(verdicts)
    return found | dict(letters)
