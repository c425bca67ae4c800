"""`watchword explain`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.events.wire.flag import FlagRecord
    from pipeline.operations.workbench import Workbench


def explain(
    context: typer.Context,
    flag: Annotated[str, typer.Argument(help="Id of a flag, a file with its event as JSON, or `-` for stdin.")],
    policies: Annotated[
        Path | None, typer.Option(help="Folder with the flag's policy set.  [default: from the control topic]")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="HTML page to write as well, with the image's picture if it is available.")
    ] = None,
) -> None:
    """
    Recompute a flag from its event and the archived embedding, and show its score prompt by prompt.

    Exit codes: 0 the flag is confirmed, 1 the recomputed flag differs in some field, 2 an error.

    Examples: `watchword explain 3f0c…` · `watchword read flags --format jsonl -n 1 | watchword explain -` ·
    `watchword explain 3f0c… --html flag.html`
    """
    from pipeline.extras import models_extra

    with models_extra("archive"):
        from pipeline.operations.stream.explain import explain_flag, picture_of
    from pipeline.cli.stream.explain_output import print_explanation, write_page
    from pipeline.reports.page import THUMBNAIL_SIDE

    workbench = session_of(context).workbench
    explained = explain_flag(workbench, _flag(workbench, flag), policies)
    print_explanation(explained)
    if html is not None:
        write_page(html, explained, picture_of(workbench, explained, THUMBNAIL_SIDE))
    raise typer.Exit(0 if explained.explanation.confirmed else 1)


def _flag(workbench: "Workbench", name: str) -> "FlagRecord":
    """Return a flag event: read from a file or from standard input, or found on the flags' topic by its id."""
    from pipeline.operations.stream.explain import find_flag, parse_flag

    if name != "-" and not os.path.isfile(name):  # noqa: PTH113 -- a path's `is_file` raises for a name that is too long
        return find_flag(workbench, name)
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"`{name}`: cannot be read: {error.strerror or error}") from error
    return parse_flag(data, name)
