"""Members of the worker group: listed, and removed when a worker will not come back."""

from dataclasses import dataclass

from pipeline.broker.members import Member, members_of, remove_member
from pipeline.errors import UsageError
from pipeline.operations.workbench import Workbench


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """The members of a consumer group, by instance id."""

    group_id: str
    members: tuple[Member, ...]


def list_members(workbench: Workbench) -> GroupMembers:
    """Return the members of the settings' group. Raises `BrokerFault`."""
    group_id = workbench.settings.group_id
    return GroupMembers(group_id, tuple(members_of(workbench.connection, group_id)))


def leave_group(workbench: Workbench, instance_id: str) -> None:
    """
    Remove a worker that has stopped for good from the settings' group; the others take over its partitions at once.

    A worker that still runs rejoins. Raises `UsageError` when the group has no such member, and `BrokerFault`.
    """
    group_id = workbench.settings.group_id
    if not remove_member(workbench.connection, group_id, instance_id):
        known = ", ".join(f"`{each.instance_id}`" for each in list_members(workbench).members if each.instance_id)
        raise UsageError(f"group `{group_id}` has no member `{instance_id}`; its members: {known or 'none'}")
