"""Members of a consumer group, and the removal of one that will not come back."""

from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import FencedInstanceIdError, KafkaError, UnknownMemberIdError

from pipeline.broker.connection import Connection, translated


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group: its instance id (None for a dynamic member), its host, and its partitions by topic."""

    instance_id: str | None
    member_id: str
    host: str
    partitions: tuple[tuple[str, int], ...]


def members_of(connection: Connection, group_id: str) -> list[Member]:
    """Return a group's members by instance id; a group that does not exist has none. Raises `BrokerFault`."""
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            described = admin.describe_groups([group_id])
        finally:
            admin.close()
    found = [_member(each) for each in described[group_id]["members"]]
    return sorted(found, key=lambda each: (each.instance_id or "", each.member_id))


def remove_member(connection: Connection, group_id: str, instance_id: str, member_id: str | None = None) -> bool:
    """
    Remove a static member from its group, so that the others take over its partitions at once.

    With `member_id`, a successor that joined under the same instance id stays. Returns whether a member was removed.
    Raises `BrokerFault`.
    """
    member = MemberToRemove(member_id, instance_id, "stopped for good")
    with translated():
        admin = KafkaAdminClient(**connection.options())
        try:
            [problem] = admin.remove_group_members(group_id, [member]).values()
            return _removed(problem)
        finally:
            admin.close()


def _removed(problem: type[KafkaError]) -> bool:
    if issubclass(problem, UnknownMemberIdError | FencedInstanceIdError):
        return False
    if problem.errno:
        raise problem
    return True


def _member(described: dict[str, Any]) -> Member:
    assigned = described["member_assignment"] or {"assigned_partitions": []}
    partitions = [(each["topic"], number) for each in assigned["assigned_partitions"] for number in each["partitions"]]
    return Member(
        described["group_instance_id"],
        described["member_id"],
        str(described["client_host"]).removeprefix("/"),
        tuple(sorted(partitions)),
    )
