"""Self-contained HTML pages: no script but their own, no request to the network, pictures blurred until clicked."""

import re
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.counted import counted, plural
from pipeline.private import write_private
from pipeline.visible import one_line

# Longer side of a picture on a page, in pixels.
THUMBNAIL_SIDE = 320


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write one of this room's templates, dated, every value escaped, for its owner alone. Raises `UsageError`."""
    write_private(path, render("pipeline.reports", template, made=datetime.now(UTC), **values))


def render(room: str, template: str, **values: Any) -> str:
    """Return a room's template; every value in it is escaped, and its control and hidden characters are shown."""
    environment = Environment(
        loader=PackageLoader(room, "."), autoescape=True, undefined=StrictUndefined, finalize=_shown
    )
    environment.filters |= {"breakable": breakable, "counted": counted, "plural": plural, "human_time": human_time}
    return environment.get_template(template).render(**values)


def jpeg_address(data: bytes) -> str:
    """Return a JPEG as a data address."""
    return f"data:image/jpeg;base64,{b64encode(data).decode()}"


def human_time(time: datetime) -> str:
    """Return a UTC time for people: `24 November 2026, 22:46 UTC`. A time without a zone counts as UTC."""
    in_utc = time.astimezone(UTC) if time.tzinfo else time
    return f"{in_utc.day} {in_utc:%B %Y, %H:%M} UTC"


def breakable(text: str) -> Markup:
    """Let a long id or path break after its separators, as text that is copied without the breaks."""
    return Markup(re.sub(r"([/._-])", r"\1<wbr>", str(escape(one_line(text)))))  # noqa: S704 -- escaped first


def _shown(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
