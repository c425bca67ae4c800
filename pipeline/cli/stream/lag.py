"""`watchword lag`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted

if TYPE_CHECKING:
    from pipeline.operations.stream.lag import GroupLag


def lag(
    context: typer.Context,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    Show the number of records that wait for the worker group, by partition. No worker needs to run.

    The lag is the distance between the group's committed offsets and the ends of the input topic's partitions.

    Example: `watchword lag --format json | jq .records`
    """
    from pipeline.cli.console import print_json, require_format
    from pipeline.operations.stream.lag import measure_lag

    require_format(format, ("table", "json"))
    found = measure_lag(session_of(context).workbench)
    if format == "json":
        print_json(_fields(found))
    else:
        _print_table(found)


def _print_table(found: "GroupLag") -> None:
    from pipeline.cli.console import output, plain_table

    table = plain_table("partition", "committed", "end", "lag")
    for each in found.partitions:
        committed = "never" if each.committed is None else str(each.committed)
        table.add_row(str(each.partition), committed, str(each.end), str(each.records))
    console = output()
    console.print(table)
    verb = "waits" if found.records == 1 else "wait"
    console.print(f"{counted(found.records, 'record')} {verb} for group `{found.group_id}`")
    if found.missed:
        verb = "was" if found.missed == 1 else "were"
        console.print(f"{counted(found.missed, 'record')} {verb} removed by retention before the group had read them")


def _fields(found: "GroupLag") -> dict[str, object]:
    return {
        "group": found.group_id,
        "topic": found.topic,
        "records": found.records,
        "missed": found.missed,
        "partitions": [
            {"partition": each.partition, "committed": each.committed, "end": each.end, "records": each.records}
            for each in found.partitions
        ],
    }
