"""Replay of a labelled stream through the broker and Triton, on temporary topics."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.broker.configured import connection_of
from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from pipeline.broker.reader import read_topics
from pipeline.broker.topics import delete_topics, ensure_topics
from pipeline.broker.topology import topics_of
from pipeline.counted import counted
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labelled_stream import LabelledStream
from pipeline.evaluation.replay.outcomes import Replayed, collect
from pipeline.evaluation.replay.recorded import RecordedVerdict, recorded_dead_letter, recorded_verdict
from pipeline.events.outcomes import DeadLetter
from pipeline.events.policies import PolicySet
from pipeline.ingest.folder import read_events
from pipeline.operations.stream.committed import environment_of, newly_committed
from pipeline.operations.workbench import Workbench
from pipeline.policies.load import load_policy_set
from pipeline.policies.model_compatibility import for_model
from pipeline.settings import Settings
from pipeline.stack.worker_process import WorkerProcess
from pipeline.visible import encodable

PATIENCE_S = 120.0
_TOPICS = ("topic_images", "topic_flags", "topic_verdicts", "topic_embeddings", "topic_dead_letters")


def replay_through_kafka(workbench: Workbench, stream: LabelledStream, policies: Path) -> Replayed:
    """
    Judge a labelled stream with a separate worker that uses the broker and Triton named in the settings.

    The topics are deleted afterwards. Raises `UsageError` when two images have one id, the worker ends, or an image has
    no outcome, and `BrokerFault`.
    """
    repeated = len(stream.images) - len({image.id for image in stream.images})
    if repeated:
        raise UsageError(
            f"{counted(repeated, 'image')} with the id of another; a replay through Kafka needs one id for each image"
        )
    policy_set = for_model(load_policy_set(policies), workbench.bundle.lineage)
    with _own_topics(workbench, policies) as settings:
        _send(stream, settings)
        _judge(workbench, settings, len(stream.images))
        outcomes = _outcomes(settings, policy_set)
    if missing := [image.id for image in stream.images if encodable(image.id) not in outcomes]:
        raise UsageError(f"no outcome of {counted(len(missing), 'image')}, `{missing[0]}` among them")
    return collect(stream, [outcomes[encodable(image.id)] for image in stream.images])


@contextmanager
def _own_topics(workbench: Workbench, policies: Path) -> Iterator[Settings]:
    """Yield settings with topics that exist until the context ends."""
    name = f"replay-{uuid.uuid4().hex[:10]}"
    topics = {topic: f"{name}.{topic.removeprefix('topic_')}" for topic in _TOPICS}
    # The report names broken images, so their share must not stop the worker.
    own = {"group_id": name, "policy_source": "folder", "policies": policies, "allow_dead_letters": True}
    settings = workbench.settings.model_copy(update={**topics, **own, "http_port": 0})
    connection = connection_of(settings)
    ensure_topics(connection, topics_of(settings))
    try:
        yield settings
    finally:
        delete_topics(connection, list(topics.values()))


def _send(stream: LabelledStream, settings: Settings) -> None:
    events = [image.event for image in stream.images]
    with Publisher(connection_of(settings), max_record_bytes=settings.max_record_bytes) as publisher:
        for event, record in zip(events, read_events(events, max_bytes=settings.max_image_bytes), strict=True):
            publisher.send(Message(settings.topic_images, encodable(event.id).encode(), record.value, record.headers))


def _judge(workbench: Workbench, settings: Settings, count: int) -> None:
    """Run a worker until it has committed the whole stream."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "worker.log"
        worker = WorkerProcess(f"{settings.group_id}-1", log, environment_of(settings)).start()
        try:
            committed = newly_committed(settings, [worker], count, patience_s=PATIENCE_S, fault=UsageError)
            for _ in workbench.progress.track(committed, "judging through Kafka", count, int):
                pass
        finally:
            worker.kill()


def _outcomes(settings: Settings, policy_set: PolicySet) -> dict[str, RecordedVerdict | DeadLetter]:
    connection = connection_of(settings)
    verdicts = (recorded_verdict(each, policy_set) for each in read_topics(connection, [settings.topic_verdicts]))
    letters = (recorded_dead_letter(each) for each in read_topics(connection, [settings.topic_dead_letters]))
    found: dict[str, RecordedVerdict | DeadLetter] = dict(verdicts)
    return found | dict(letters)
