"""`watchword dead-letters save`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.dead_letters.options import All, Limit, Offsets, Origins, Partitions, Reasons, Since, Until
from pipeline.cli.session import session_of
from pipeline.counted import counted


def save(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="New or empty folder for the files.")],
    origins: Origins = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    partition: Partitions = None,
    offset: Offsets = None,
    limit: Limit = None,
    all: All = False,  # noqa: A002 -- the option's name
) -> None:
    """
    Save the original bytes of dead letters, a file each, with a manifest `letters.jsonl` that says which is which.

    No policy has judged these bytes: they may be any image. Only you can read the files, and the access is recorded in
    `WATCHWORD_ACCESS_LOG`.

    Example: `watchword dead-letters save --reason corrupt_image --since 1d --out letters`
    """
    from pipeline.cli.dead_letters.options import selection_of
    from pipeline.cli.dead_letters.output import counted_letters, size_text
    from pipeline.operations.dead_letters.save import MANIFEST, save_letters

    chosen = selection_of(origins, reason, since, until, partition, offset, limit, handled=all)
    session = session_of(context)
    saved = save_letters(session.workbench, chosen, out)
    session.progress.notify(
        f"{counted_letters(saved.letters)}: {counted(saved.files, 'file')}, {size_text(saved.size_bytes)}"
    )
    typer.echo(str(out / MANIFEST))
