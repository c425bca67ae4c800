"""Facts about a cluster that need no group: its brokers, the newest timestamps, and offsets by time."""

from collections.abc import Collection
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec

from pipeline.broker.connection import Connection, translated
from pipeline.broker.topics import partitions_of


def brokers_of(connection: Connection, *, timeout_s: float) -> list[str]:
    """
    Return the addresses, `host:port`, of a cluster's brokers.

    Raises `BrokerFault` when none answers within `timeout_s`, and `RefusedByBroker` when TLS or SASL fails.
    """
    options = {**connection.options(), "bootstrap_timeout_ms": int(timeout_s * 1000)}
    with translated():
        admin = KafkaAdminClient(**options)
        try:
            described: dict[str, Any] = admin.describe_cluster()
        finally:
            admin.close()
    return [f"{each['host']}:{each['port']}" for each in described["brokers"]]


def newest_timestamp(connection: Connection, topics: Collection[str]) -> int | None:
    """Return the largest timestamp (Unix ms) of a record in `topics`, None without records. Raises `BrokerFault`."""
    partitions = partitions_of(connection, list(topics))
    if not partitions:
        return None
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            found = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.MAX_TIMESTAMP))
        finally:
            admin.close()
    return max((each.timestamp for each in found.values() if each.timestamp >= 0), default=None)


def offsets_at(connection: Connection, topic: str, time_ms: int) -> dict[int, int]:
    """
    Return, by partition, the offset of the first record with a timestamp from `time_ms` (Unix ms) on.

    A partition without such a record is left out. Raises `BrokerFault`.
    """
    partitions = partitions_of(connection, [topic])
    if not partitions:
        return {}
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            found = admin.list_partition_offsets(dict.fromkeys(partitions, time_ms))
        finally:
            admin.close()
    return {partition.partition: each.offset for partition, each in found.items() if each.offset >= 0}
