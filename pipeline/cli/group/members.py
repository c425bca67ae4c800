"""`watchword group members`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted

if TYPE_CHECKING:
    from pipeline.operations.group.members import GroupMembers


def members(
    context: typer.Context,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Show the members of the worker group and their partitions, as the broker knows them.

    A stopped worker remains a member until its session ends, and its partitions wait for it.

    Example: `watchword group members --format json | jq '.[].instance_id'`
    """
    from pipeline.cli.console import print_json, require_format
    from pipeline.operations.group.members import list_members

    require_format(format, ("table", "json"))
    found = list_members(session_of(context).workbench)
    if format == "json":
        print_json(_fields(found))
    else:
        _print_table(found)


def _print_table(found: "GroupMembers") -> None:
    from pipeline.cli.console import output, plain_table

    table = plain_table("instance id", "host", "partitions")
    for each in found.members:
        partitions = ", ".join(f"{topic}/{partition}" for topic, partition in each.partitions)
        table.add_row(each.instance_id or "–", each.host, partitions or "none")
    console = output()
    console.print(table)
    console.print(f"group `{found.group_id}` has {counted(len(found.members), 'member')}")


def _fields(found: "GroupMembers") -> list[dict[str, object]]:
    return [
        {
            "instance_id": each.instance_id,
            "member_id": each.member_id,
            "host": each.host,
            "partitions": [{"topic": topic, "partition": partition} for topic, partition in each.partitions],
        }
        for each in found.members
    ]
