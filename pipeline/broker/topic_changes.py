"""Changes of existing topics: their present partitions and configuration, and what to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.broker.connection import Connection, translated
from pipeline.broker.topics import Topic, create_topic


@dataclass(frozen=True, slots=True)
class PresentTopic:
    """An existing topic: number of partitions and replicas, and its effective configuration in Kafka's words."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicChange:
    """
    A change of one topic.

    A topic that is missing is to `create`. Otherwise `partitions` is the new number of partitions, None to keep the
    present one, and `configs` has the keys to set, each with its present and its new value.
    """

    topic: Topic
    create: bool = False
    partitions: int | None = None
    configs: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def present_topics(connection: Connection, topics: Sequence[Topic]) -> dict[str, PresentTopic]:
    """Return those of `topics` that exist, by name. Raises `BrokerFault`."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            described = admin.describe_topics([topic.name for topic in topics])
            partitions = {each["name"]: each["partitions"] for each in described if each["partitions"]}
            return {name: _present(admin, name, found) for name, found in partitions.items()}
        finally:
            admin.close()


def change_topics(connection: Connection, changes: Sequence[TopicChange]) -> None:
    """Carry changes out, in their order. Raises `BrokerFault`, and `UsageError` when the broker refuses one."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            for change in changes:
                _change(admin, change)
        finally:
            admin.close()


def _present(admin: KafkaAdminClient, name: str, partitions: Sequence[Mapping[str, Sequence[int]]]) -> PresentTopic:
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    configs = admin.describe_configs([resource], config_filter="all")["topic"][name]
    replicas = min(len(each["replica_nodes"]) for each in partitions)
    return PresentTopic(len(partitions), replicas, {key: str(each["value"]) for key, each in configs.items()})


def _change(admin: KafkaAdminClient, change: TopicChange) -> None:
    name = change.topic.name
    if change.create:
        create_topic(admin, change.topic)
        return
    if change.partitions is not None:
        admin.create_partitions({name: change.partitions})
    if change.configs:
        values = {key: new for key, (_, new) in change.configs.items()}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, values)])
