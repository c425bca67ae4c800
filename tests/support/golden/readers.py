"""Readers of recorded records. After a move, or once read models replace them, re-point these and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.archive.dataset import Archive
from pipeline.archive.rows import ArchivedEmbedding
from pipeline.cli.stream.read import outcome_fields
from pipeline.errors import DeadLetterReason
from pipeline.evaluation.decisions.standing import decisions
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck, check_delivery
from pipeline.evaluation.replay.recorded import RecordedVerdict, retold_dead_letter, retold_verdict
from pipeline.events.decisions import Decision
from pipeline.events.policies import PolicySet
from pipeline.events.records import ImageEvent, Record
from pipeline.ingest.event import parse_event
from pipeline.releases.control_topic import ControlTopic


def image(record: Record) -> ImageEvent:
    return parse_event(record)


def verdict(record: Record, policy_set: PolicySet) -> RecordedVerdict:
    return retold_verdict(record, policy_set)[1]


def flag(record: Record) -> dict[str, Any]:
    return outcome_fields(record)


def embedding(record: Record) -> ArchivedEmbedding:
    return ArchivedEmbedding.of(record)


def dead_letter(record: Record) -> DeadLetterReason:
    return retold_dead_letter(record)[1].reason


def decision(record: Record) -> Decision:
    [read] = decisions([record])
    return read


def control(records: Sequence[Record]) -> ControlTopic:
    published = ControlTopic()
    published.take(records)
    return published


def stream(*topics: Sequence[Record]) -> DeliveryCheck:
    """Count images, verdicts, embeddings, flags and dead letters against each other."""
    images, verdicts, embeddings, flags, dead_letters = topics
    return check_delivery(images, verdicts, embeddings, flags, dead_letters)


def archived(rows: Sequence[ArchivedEmbedding], folder: Path) -> Archive:
    archive = Archive(str(folder))
    archive.add(list(rows))
    return archive


def archive_columns(archive: Archive) -> dict[str, str]:
    """Return the type of each column."""
    [model] = archive.models()
    return {field.name: str(field.type) for field in archive.dataset(model).schema}
