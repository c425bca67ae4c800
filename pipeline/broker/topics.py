"""The topics: made where missing, and checked to admit what will be sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import RetriableError, TopicAlreadyExistsError
from kafka.structs import TopicPartition

from pipeline.broker.connection import Connection, translated
from pipeline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Topic:
    """
    A topic as this project wants it.

    `max_message_bytes` bounds one record with its headers; of one that is `compacted`, the last record a key stays.
    """

    name: str
    partitions: int
    max_message_bytes: int
    compacted: bool = False


def answers(address: str) -> bool:
    """Tell whether a broker at `host:port` answers within a second or two."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=1500)
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
    """Make the topics that are missing and return their names. Raises `BrokerFault` without a broker."""
    present = topic_names(connection)
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            missing = [topic for topic in topics if topic.name not in present]
            for topic in missing:
                _create(admin, topic)
        finally:
            admin.close()
    return [topic.name for topic in missing]


def topic_names(connection: Connection) -> frozenset[str]:
    """Return the names of all topics there are."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            return frozenset(admin.list_topics())
        finally:
            admin.close()


def delete_topics(connection: Connection, names: Sequence[str]) -> None:
    """Delete topics with all that is in them."""
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
            return {topic: _admitted(admin, topic) for topic in topics}
        finally:
            admin.close()


def require_room(connection: Connection, *, source: str, target: str, envelope_bytes: int) -> int:
    """
    Return the largest record `target` admits, once it is known to hold any record of `source` in an envelope.

    Raises `UsageError` when it does not: a record that is allowed in could then not be dead-lettered whole.
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
    Return every partition of `topics`; a topic that is not there has none.

    Asked of the admin client: a consumer's own look-up waits for metadata without a deadline.
    """
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            described = admin.describe_topics(list(topics))
        finally:
            admin.close()
    found = [(topic["name"], each["partition_index"]) for topic in described for each in topic["partitions"]]
    return [TopicPartition(topic, partition) for topic, partition in sorted(found)]


def ends_of(connection: Connection, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Return where each partition ends, the records of transactions that are not decided yet among what it counts."""
    if not partitions:
        return {}
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            found = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        finally:
            admin.close()
    return {place: found[place].offset for place in partitions}


def committed_and_end(connection: Connection, group_id: str, topic: str) -> dict[int, tuple[int, int]]:
    """Return, by partition, what `group_id` has committed (0 when nothing) and where the topic ends, read committed."""
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


def _create(admin: KafkaAdminClient, topic: Topic) -> None:
    configs = {"max.message.bytes": str(topic.max_message_bytes)}
    if topic.compacted:
        configs["cleanup.policy"] = "compact"
    wanted = {"num_partitions": topic.partitions, "configs": configs}
    try:
        admin.create_topics({topic.name: wanted}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return  # another worker was quicker


def _admitted(admin: KafkaAdminClient, topic: str) -> int:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    described = admin.describe_configs([resource], config_filter="all")
    return int(described["topic"][topic]["max.message.bytes"]["value"])
