"""Arguments and options that several commands of the group have."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("table", "jsonl")

Images = Annotated[list[Path], typer.Argument(help="Image files, and folders of images.")]
Model = Annotated[Path | None, typer.Option(help="Model bundle.  [default: WATCHWORD_MODEL, or the shipped bundle]")]
Format = Annotated[str, typer.Option("--format", help="Output format: `table` or `jsonl`.")]
PicturesPage = Annotated[Path | None, typer.Option("--html", help="HTML page to write as well, with the pictures.")]
