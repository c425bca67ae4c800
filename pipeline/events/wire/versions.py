"""CloudEvents types of Watchword's records, which carry the kind of a record and its major version."""

import re
from collections.abc import Iterable

from pipeline.bounded import brief
from pipeline.errors import UnreadableRecord
from pipeline.events.records import Record

SOURCE = "watchword"
_TYPE = re.compile(rf"{SOURCE}\.([a-z_]+)\.v([0-9]{{1,9}})")


def event_type(kind: str, version: int) -> str:
    """Return the CloudEvents type of a kind of record."""
    return f"{SOURCE}.{kind}.v{version}"


def require_type(record: Record, kind: str, version: int) -> None:
    """
    Raise `UnreadableRecord` if the `ce_type` header says that a record is of another kind or another version.

    A record without the header is taken for what its topic holds.
    """
    said = header_text(record.headers, "ce_type")
    if said in (None, event_type(kind, version)):
        return
    found = _TYPE.fullmatch(said or "")
    if found is None or found[1] != kind:
        problem = f"its `ce_type` is `{brief(said, 80)}`; check the names of the topics in the settings"
    elif int(found[2]) > version:
        problem = f"it has version {found[2]}, and this watchword reads version {version}; upgrade it"
    else:
        problem = f"it has version {found[2]}, and this watchword reads version {version}; use an earlier one"
    raise UnreadableRecord(str(record.origin), kind, problem)


def header_text(headers: Iterable[tuple[str, bytes | None]], name: str) -> str | None:
    """Return the last header of a name, which counts where a name comes twice; None without one."""
    found = None
    for each, value in headers:
        if each == name:
            found = value or b""
    return None if found is None else found.decode(errors="replace")
