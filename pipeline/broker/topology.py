"""The topics of a stream, from settings."""

from pipeline.broker.topics import Topic
from pipeline.settings import ENVELOPE_BYTES, POLICY_SET_BYTES, Settings

# Enough for one verdict with thousands of policies.
OUTCOME_BYTES = 1 << 20

MS_PER_HOUR = 3_600_000


def topics_of(settings: Settings, partitions: int | None = None, *, only: str | None = None) -> list[Topic]:
    """Return the input and output topics of a stream, or `only` one, each with a limit that admits its records."""
    image, letter = settings.max_record_bytes, settings.max_record_bytes + ENVELOPE_BYTES
    kinds = (
        (settings.topic_images, image, settings.images_retention_hours),
        (settings.topic_dead_letters, letter, settings.dead_letters_retention_hours),
        (settings.topic_flags, OUTCOME_BYTES, settings.flags_retention_hours),
        (settings.topic_verdicts, OUTCOME_BYTES, settings.verdicts_retention_hours),
        (settings.topic_embeddings, OUTCOME_BYTES, settings.embeddings_retention_hours),
    )
    return [
        _topic(settings, name, partitions or settings.topic_partitions, size, retention_hours=hours)
        for name, size, hours in kinds
        if only in (None, name)
    ]


def archive_group(settings: Settings) -> str:
    """Return the consumer group of archivers."""
    return f"{settings.group_id}-archive"


def policy_topic(settings: Settings) -> Topic:
    """Return the control topic: one partition, so that releases have one order."""
    return _topic(settings, settings.topic_policies, 1, POLICY_SET_BYTES, compacted=True)


def decision_topic(settings: Settings) -> Topic:
    """Return the topic of decisions: compacted, with one partition, so that decisions have one order."""
    return _topic(settings, settings.topic_decisions, 1, 1 << 20, compacted=True)


def handling_topic(settings: Settings) -> Topic:
    """Return the topic of handled dead letters: every record is kept, in one partition, so that they have one order."""
    return _topic(settings, settings.topic_dead_letter_handling, 1, OUTCOME_BYTES, kept=True)


def every_topic(settings: Settings) -> list[Topic]:
    """Return every topic that Watchword reads or writes."""
    return [*topics_of(settings), policy_topic(settings), decision_topic(settings), handling_topic(settings)]


def _topic(
    settings: Settings,
    name: str,
    partitions: int,
    size_bytes: int,
    *,
    compacted: bool = False,
    kept: bool = False,
    retention_hours: float | None = None,
) -> Topic:
    return Topic(
        name,
        partitions,
        size_bytes,
        compacted,
        kept,
        retention_ms=None if retention_hours is None else round(retention_hours * MS_PER_HOUR),
        replicas=settings.topic_replicas,
        min_insync_replicas=settings.topic_min_insync_replicas,
    )
