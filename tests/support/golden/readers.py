"""Readers of recorded records. After a move, or once read models replace them, re-point these and nothing else."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.evaluation.replay.recorded import RecordedVerdict, recorded_verdict
from pipeline.events.decisions import Decision
from pipeline.events.policies import PolicySet
from pipeline.events.records import ImageEvent, Record
from pipeline.events.wire.dead_letter import DeadLetterRecord
from pipeline.events.wire.flag import FlagRecord
from pipeline.ingest.event import parse_event
from pipeline.releases.control_topic import ControlTopic


def image(record: Record) -> ImageEvent:
    return parse_event(record)


def verdict(record: Record, policy_set: PolicySet) -> RecordedVerdict:
    return recorded_verdict(record, policy_set)[1]


def flag(record: Record) -> FlagRecord:
    return FlagRecord.parse(record)


def embedding(record: Record) -> ArchivedEmbedding:
    return ArchivedEmbedding.of(record)


def dead_letter(record: Record) -> DeadLetterRecord:
    return DeadLetterRecord.parse(record)


def decision(record: Record) -> Decision:
    return Decision.parse(record)


def control(records: Sequence[Record]) -> ControlTopic:
    published = ControlTopic()
    published.take(records)
    return published


def stream(*topics: Sequence[Record], control: ControlTopic) -> DeliveryCheck:
    """Count images, verdicts, embeddings, flags and dead letters against each other."""
    images, verdicts, embeddings, flags, dead_letters = topics
    sets = map(control.policy_set, control.sets)
    return check_delivery(images, verdicts, embeddings, flags, dead_letters, sets)


def archived(rows: Sequence[ArchivedEmbedding], folder: Path) -> Archive:
    archive = Archive(str(folder))
    archive.add(list(rows))
    return archive


def archive_columns(archive: Archive) -> dict[str, str]:
    """Return the type of each column."""
    [model] = archive.models()
    return {field.name: str(field.type) for field in archive.dataset(model).schema}
