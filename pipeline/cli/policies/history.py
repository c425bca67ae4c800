"""`watchword policies history`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of

if TYPE_CHECKING:
    from pipeline.events.releases import Release


def history(
    context: typer.Context,
    format: Annotated[str, typer.Option(help="Output format: `table` or `json`.")] = "table",  # noqa: A002 -- the option's name
) -> None:
    """
    List the releases, the newest first.

    Example: `watchword policies history --format json | jq '.[0].author'`
    """
    from pipeline.cli.console import output, print_json, require_format
    from pipeline.operations.policies.history import list_releases
    from pipeline.releases.control_topic import release_fields

    require_format(format, ("table", "json"))
    releases = list_releases(session_of(context).workbench)
    if format == "json":
        print_json([release_fields(each) for each in releases], indent=2)
    elif not releases:
        output().print("nothing is published yet; publish with `watchword policies publish`")
    else:
        _print_table(releases)


def _print_table(releases: "Sequence[Release]") -> None:
    from pipeline.cli.console import output, plain_table

    table = plain_table("version", "parent", "set", "canary", "time (UTC)", "author", "note")
    for each in releases:
        canary = f"{each.canary.digest[:12]} {each.canary.share:.0%}" if each.canary else ""
        when = f"{each.time:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(each.version), str(each.parent), each.digest[:12], canary, when, each.author, each.note)
    output().print(table)
