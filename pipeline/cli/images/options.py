"""Arguments and options that several commands of the group have."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("table", "jsonl")

Images = Annotated[list[Path], typer.Argument(help="Images, and folders of images.")]
Model = Annotated[Path | None, typer.Option(help="Model bundle.  [default: WATCHWORD_MODEL, or the shipped one]")]
Format = Annotated[str, typer.Option("--format", help="`table` or `jsonl`.")]
PicturesPage = Annotated[Path | None, typer.Option("--html", help="Also write an HTML page with the pictures.")]
