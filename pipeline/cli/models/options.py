"""Options that several commands of the group have."""

from pathlib import Path
from typing import Annotated

import typer

ImageSample = Annotated[
    list[Path],
    typer.Option(help="Image, or folder of images (repeatable): `--images A --images B`."),
]
Policies = Annotated[Path, typer.Option(help="Folder of policy files.")]
FlipRate = Annotated[float, typer.Option(help="For each policy, the maximum share of images whose verdict may change.")]
NewBundle = Annotated[Path, typer.Option(help="Folder of the new model bundle.")]
