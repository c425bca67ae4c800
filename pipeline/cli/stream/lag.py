"""`watchword lag`: records that wait, asked of the broker."""

from pipeline.broker.lag import PartitionLag, lag_of
from pipeline.broker.topology import connection_of
from pipeline.cli.console import output, plain_table, print_json, require_format
from pipeline.errors import UsageError
from pipeline.settings import Settings, load_settings


def show_lag(output_format: str) -> None:
    """Print the lag of the settings' group. Raises `UsageError` when there is no input topic, and `BrokerFault`."""
    require_format(output_format, ("table", "json"))
    settings = load_settings(Settings)
    found = lag_of(connection_of(settings), settings.group_id, settings.topic_images)
    if not found:
        raise UsageError(f"there is no topic `{settings.topic_images}`")
    if output_format == "json":
        print_json(_fields(settings, found))
        return
    table = plain_table("partition", "committed", "end", "lag")
    for each in found:
        committed = "never" if each.committed is None else str(each.committed)
        table.add_row(str(each.partition), committed, str(each.end), str(each.records))
    console = output()
    console.print(table)
    console.print(f"{sum(each.records for each in found)} records wait for group `{settings.group_id}`")
    if missed := sum(each.missed for each in found):
        console.print(f"{missed} records were removed by retention before the group had read them")


def _fields(settings: Settings, found: list[PartitionLag]) -> dict[str, object]:
    return {
        "group": settings.group_id,
        "topic": settings.topic_images,
        "records": sum(each.records for each in found),
        "missed": sum(each.missed for each in found),
        "partitions": [
            {"partition": each.partition, "committed": each.committed, "end": each.end, "records": each.records}
            for each in found
        ],
    }
