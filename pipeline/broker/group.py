"""What the broker knows of a consumer group's members."""

from kafka import KafkaAdminClient

from pipeline.broker.connection import Connection, translated

TIMEOUT_MS = 5000


def holder_of(connection: Connection, group_id: str, instance_id: str) -> str | None:
    """Return the client id of the member that holds a `group.instance.id`, or None. Raises `BrokerFault`."""
    with translated():
        admin = KafkaAdminClient(**connection.options(), request_timeout_ms=TIMEOUT_MS)
        try:
            group = admin.describe_groups([group_id])[group_id]
        finally:
            admin.close()
    holders = (each["client_id"] for each in group["members"] if each["group_instance_id"] == instance_id)
    return next(holders, None)
