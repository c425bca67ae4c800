"""`watchword produce`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.session import session_of
from pipeline.counted import counted


def produce(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Image files, and folders of images.")],
    labels: Annotated[
        Path | None, typer.Option(help="labels.csv that lists the files to send, relative to its folder.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the labels to send.  [default: all]")] = None,
    source: Annotated[str, typer.Option(help="`ce_source` of the events.")] = "watchword-produce",
    repeat: Annotated[int, typer.Option(min=1, help="Number of events for each image.")] = 1,
    rate: Annotated[float | None, typer.Option(help="Maximum number of images a second.  [default: no limit]")] = None,
    references: Annotated[
        bool, typer.Option("--references", help="Send `file:` addresses of the images instead of their bytes.")
    ] = False,
) -> None:
    """
    Send images to the input topic as CloudEvents.

    In a folder, files that do not start with an image's first bytes are skipped. A file that you name is always sent.

    Exit codes: 0 sent, 2 an error or a file that could not be read.

    Examples: `watchword produce photo.jpg` · `watchword produce samples --labels samples/labels.csv --split val`
    """
    from pipeline.cli.console import progress_output
    from pipeline.operations.stream.produce import ProduceRequest, produce_images

    session = session_of(context)
    request = ProduceRequest(tuple(paths), labels, split, source, repeat, rate, references)
    produced = produce_images(session.workbench, request)
    for file, fault in produced.faults.items():
        progress_output().print(f"`{file}`: {fault}")
    session.progress.notify(f"sent {counted(produced.sent, 'record')} to {produced.topic}")
    raise typer.Exit(2 if produced.faults else 0)
