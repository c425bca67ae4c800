"""The topics of a stream, from settings."""

from pipeline.broker.topics import Topic
from pipeline.settings import ENVELOPE_BYTES, POLICY_SET_BYTES, Settings

DEFAULT_PARTITIONS = 4
# Enough for one verdict with thousands of policies.
OUTCOME_BYTES = 1 << 20


def topics_of(settings: Settings, partitions: int = DEFAULT_PARTITIONS, *, only: str | None = None) -> list[Topic]:
    """Return the topics of a stream, or `only` one, each with a limit that admits its records."""
    image, letter = settings.max_record_bytes, settings.max_record_bytes + ENVELOPE_BYTES
    sizes = {
        settings.topic_images: image,
        settings.topic_dead_letters: letter,
        settings.topic_flags: OUTCOME_BYTES,
        settings.topic_verdicts: OUTCOME_BYTES,
        settings.topic_embeddings: OUTCOME_BYTES,
    }
    return [Topic(name, partitions, size) for name, size in sizes.items() if only in (None, name)]


def archive_group(settings: Settings) -> str:
    """Return the consumer group of archivers."""
    return f"{settings.group_id}-archive"


def policy_topic(settings: Settings) -> Topic:
    """Return the control topic: one partition, so that releases have one order."""
    return Topic(settings.topic_policies, 1, POLICY_SET_BYTES, compacted=True)


def decision_topic(settings: Settings) -> Topic:
    """Return the topic of decisions: compacted, with one partition, so that decisions have one order."""
    return Topic(settings.topic_decisions, 1, 1 << 20, compacted=True)
