"""Self-contained HTML pages: no script but their own, nothing asked of the network, pictures blurred until clicked."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

# Of a picture on a page, the longer side, in pixels.
THUMBNAIL_SIDE = 320


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write one of this room's templates, every value in it escaped."""
    path.write_text(render("pipeline.emit", template, **values))


def render(room: str, template: str, **values: Any) -> str:
    """Return a room's template, every value in it escaped."""
    environment = Environment(loader=PackageLoader(room, "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["breakable"] = breakable
    return environment.get_template(template).render(**values)


def jpeg_address(data: bytes) -> str:
    """Return a JPEG as a data address."""
    return f"data:image/jpeg;base64,{b64encode(data).decode()}"


def breakable(text: str) -> str:
    """Let a long id or path break after its separators and nowhere else."""
    return re.sub(r"([/._-])", "\\1\u200b", text)
