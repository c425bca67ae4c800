"""Arguments that several commands of the group have."""

from typing import Annotated

import typer

Content = Annotated[str, typer.Argument(help="SHA-256 of the image's bytes: `content_digest` in verdicts.")]
