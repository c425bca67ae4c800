"""Settings of the topics: names, partitions, replicas and retention."""

from pydantic import Field
from pydantic_settings import BaseSettings

_RETENTION = "Hours that Kafka keeps {} for; the broker's default when not set."


class TopicSettings(BaseSettings):
    """Settings of the topics, which `watchword topics apply` and a worker's start create."""

    topic_partitions: int = Field(
        4,
        gt=0,
        description="Number of partitions of the input and output topics, and so the largest useful number of workers.",
    )
    topic_replicas: int | None = Field(
        None, gt=0, description="Number of replicas of each new topic; the broker's default when not set."
    )
    topic_min_insync_replicas: int | None = Field(
        None,
        gt=0,
        description="Number of replicas that must store a record before it counts as written; the broker's default "
        "when not set.",
    )
    images_retention_hours: float | None = Field(None, gt=0, description=_RETENTION.format("images"))
    flags_retention_hours: float | None = Field(None, gt=0, description=_RETENTION.format("flag events"))
    verdicts_retention_hours: float | None = Field(None, gt=0, description=_RETENTION.format("verdicts"))
    embeddings_retention_hours: float | None = Field(None, gt=0, description=_RETENTION.format("embeddings"))
    dead_letters_retention_hours: float | None = Field(None, gt=0, description=_RETENTION.format("dead letters"))
