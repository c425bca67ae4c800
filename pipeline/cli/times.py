"""Times in the options of a command."""

import re
from datetime import UTC, datetime, timedelta

from pipeline.errors import UsageError

_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


def time_of(text: str | None, option: str) -> datetime | None:
    """Return the time in an option's text, in UTC unless the text has another zone. Raises `UsageError`."""
    if text is None:
        return None
    try:
        return _utc(text)
    except ValueError as error:
        raise UsageError(f"`{option} {text}`: a day or a time is expected, such as `2026-11-14T06:00`") from error


def since_of(text: str) -> datetime:
    """Return the time that `--since` means: now minus an age (`7d`, `12h`, `2w`), or a date. Raises `UsageError`."""
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    try:
        if found:
            return datetime.now(UTC) - timedelta(days=int(found[1]) * _UNITS[found[2]])
        return _utc(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"`--since {text}`: expected a period such as `7d`, `12h` or `2w`, or a day") from error


def _utc(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration_of(text: str, option: str) -> float:
    """Return the duration in an option's text (`500ms`, `1.5s`), in seconds. Raises `UsageError`."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s)", text)
    seconds = float(found[1]) * (1e-3 if found[2] == "ms" else 1) if found else 0.0
    if not seconds:
        raise UsageError(f"`{option} {text}`: a duration is expected, such as `500ms` or `2s`")
    return seconds
