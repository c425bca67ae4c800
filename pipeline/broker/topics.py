"""Topics: creation, deletion, offsets, and checks of their size limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import RetriableError, TopicAlreadyExistsError, TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Topic:
    """
    The configuration of a topic.

    `max_message_bytes` is the limit of one record with its headers. A `compacted` topic keeps the last record of each
    key; a `kept` topic keeps every record. The broker's default counts where `retention_ms`,
    `replicas` or `min_insync_replicas` is None.
    """

    name: str
    partitions: int
    max_message_bytes: int
    compacted: bool = False
    kept: bool = False
    retention_ms: int | None = None
    replicas: int | None = None
    min_insync_replicas: int | None = None

    @property
    def configs(self) -> dict[str, str]:
        """The topic's configuration in Kafka's words."""
        configs = {"max.message.bytes": str(self.max_message_bytes)}
        if self.compacted:
            configs["cleanup.policy"] = "compact"
        if self.kept:
            configs |= {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        if self.min_insync_replicas is not None:
            configs["min.insync.replicas"] = str(self.min_insync_replicas)
        return configs


def answers(address: str) -> bool:
    """Tell whether a broker at `host:port` answers within a second or two."""
    try:
        admin = KafkaAdminClient(**Connection(address).options(), bootstrap_timeout_ms=1500)
    except RetriableError:
        return False
    try:
        admin.list_topics()
    except RetriableError:
        return False
    finally:
        admin.close()
    return True


def ensure_topics(connection: Connection, topics: list[Topic]) -> list[str]:
    """Create the topics that are missing and return their names. Raises `BrokerFault` without a broker."""
    present = topic_names(connection)
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            missing = [topic for topic in topics if topic.name not in present]
            for topic in missing:
                create_topic(admin, topic)
        finally:
            admin.close()
    return [topic.name for topic in missing]


def topic_names(connection: Connection) -> frozenset[str]:
    """Return the names of all existing topics."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            return frozenset(admin.list_topics())
        finally:
            admin.close()


def delete_topics(connection: Connection, names: Sequence[str]) -> None:
    """Delete topics with all their records."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            admin.delete_topics(list(names))
        finally:
            admin.close()


def admitted_by(connection: Connection, topics: Sequence[str]) -> dict[str, int]:
    """Return the largest record batch that each topic admits, in bytes. Raises `BrokerFault`."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            return {topic: int(_config(admin, topic)["max.message.bytes"]) for topic in topics}
        finally:
            admin.close()


def oldest_timestamp(connection: Connection, topic: str, now_ms: int) -> int:
    """
    Return the timestamp (Unix ms) from which on the broker admits and retains a record, at the time `now_ms`.

    0 where the broker ignores the timestamps of producers, or neither limit is set. Raises `BrokerFault`.
    """
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            config = _config(admin, topic)
        finally:
            admin.close()
    if config.get("message.timestamp.type") == "LogAppendTime":
        return 0
    limits = [int(config.get("message.timestamp.before.max.ms") or -1)]
    if "delete" in config.get("cleanup.policy", ""):
        limits.append(int(config.get("retention.ms") or -1))
    return max(0, now_ms - min((limit for limit in limits if limit >= 0), default=now_ms))


def require_capacity(connection: Connection, *, source: str, target: str, envelope_bytes: int) -> int:
    """
    Check that `target` admits any record of `source` in an envelope, and return the largest record it admits.

    Raises `UsageError` when it does not, because some record of `source` could then not be dead-lettered whole.
    """
    found = admitted_by(connection, [source, target])
    comes, goes = found[source], found[target]
    if goes < comes + envelope_bytes:
        raise UsageError(
            f"topic `{target}` admits records of {goes} bytes, but `{source}` lets {comes} in, and {envelope_bytes} "
            f"more are needed around them; set max.message.bytes of `{target}` to {comes + envelope_bytes} or more"
        )
    return goes


def partitions_of(connection: Connection, topics: Sequence[str]) -> list[TopicPartition]:
    """
    Return every partition of `topics`; a topic that does not exist has none. Raises `UsageError` without a right.

    The admin client looks them up, because a consumer's look-up waits for metadata without a deadline.
    """
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            described = describe(admin, topics)
        finally:
            admin.close()
    found = [(topic["name"], each["partition_index"]) for topic in described for each in topic["partitions"]]
    return [TopicPartition(topic, partition) for topic, partition in sorted(found)]


def describe(admin: KafkaAdminClient, topics: Sequence[str]) -> list[dict[str, Any]]:
    """Return the metadata of topics. kafka-python returns a topic without a right as one without partitions."""
    described: list[dict[str, Any]] = admin.describe_topics(list(topics))
    if refused := [each["name"] for each in described if each["error_code"] == TopicAuthorizationFailedError.errno]:
        raise TopicAuthorizationFailedError(", ".join(refused))
    return described


def require_rights(connection: Connection, needed: Mapping[str, str]) -> None:
    """
    Check that this client's user may do an operation (`READ` or `WRITE`) on each topic.

    Raises `UsageError` that names every right that is missing. Brokers that do not tell rights are believed.
    """
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            described = describe(admin, list(needed))
            held = {each["name"]: each.get("authorized_operations") for each in described}
            missing = [topic for topic, right in needed.items() if right not in (held.get(topic) or right)]
            if missing:
                raise TopicAuthorizationFailedError(", ".join(f"{needed[topic]} on `{topic}`" for topic in missing))
        finally:
            admin.close()


def ends_of(connection: Connection, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Return log-end offsets, including open transactions (`read_uncommitted`)."""
    if not partitions:
        return {}
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            found = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        finally:
            admin.close()
    return {partition: found[partition].offset for partition in partitions}


def committed_and_end(connection: Connection, group_id: str, topic: str) -> dict[int, tuple[int, int]]:
    """Return, by partition, the committed offset of `group_id` (0 for none) and the end offset at `read_committed`."""
    partitions = partitions_of(connection, [topic])
    with translated():
        consumer = KafkaConsumer(
            **connection.client_options(), group_id=group_id, enable_auto_commit=False, isolation_level="read_committed"
        )
        try:
            ends = consumer.end_offsets(partitions) if partitions else {}
            return {p.partition: (consumer.committed(p, timeout_ms=30_000) or 0, ends[p]) for p in partitions}
        finally:
            consumer.close()


def create_topic(admin: KafkaAdminClient, topic: Topic) -> None:
    """Create a topic, unless it exists."""
    wanted: dict[str, object] = {"num_partitions": topic.partitions, "configs": topic.configs}
    if topic.replicas is not None:
        wanted["replication_factor"] = topic.replicas
    try:
        admin.create_topics({topic.name: wanted}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return  # another worker created it first


def _config(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    described = admin.describe_configs([resource], config_filter="all")
    return {name: each["value"] for name, each in described["topic"][topic].items()}
