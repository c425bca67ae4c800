"""Times on the wire: RFC 3339, in UTC, to the millisecond."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=256)  # several records of an image have the same time, and so have the verdicts of a chunk
def rfc3339(time: datetime) -> str:
    """Return a time that knows its zone, for example `2026-11-25T04:00:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
