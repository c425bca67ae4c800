"""`watchword models golden`."""

from pathlib import Path
from typing import Annotated

import typer


def golden(bundle: Annotated[Path, typer.Argument(help="Model bundle.")]) -> None:
    """
    Write the golden file of a bundle, which workers probe themselves with.

    It has the embeddings of a handful of known images and texts, computed in this process by the bundle's own towers.
    A worker compares its own path with them at start, after every change and every WATCHWORD_PROBE_INTERVAL_S, and
    judges nothing while they differ. `train`, `import`, `quantise` and `build` write it by themselves. An existing file
    is replaced: run this on a machine that you trust, and compare the file with the old one.

    Exit codes: 0 written, 2 an error.

    Example: `watchword models golden out/clip-b32`
    """
    from pipeline.cli.console import output
    from pipeline.operations.models.golden import write_golden_file

    written = write_golden_file(bundle)
    output().print(f"`{bundle}`: {written.images} images and {written.texts} texts of model {written.digest[:12]}…")
