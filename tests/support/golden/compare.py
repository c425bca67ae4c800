"""Recorded facts against those of now: additions pass, a removal or a change does not."""

from collections.abc import Iterator
from typing import Any

# Lists that may get longer: whatever was accepted, or there, still is.
MAY_GROW = frozenset({"choices", "enum", "at_start"})
# A parameter's name in the code: nobody outside sees it.
NOT_HELD = frozenset({"name"})


def broken(recorded: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each recorded fact that is gone or different, and each addition that callers must give."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in recorded.keys() - NOT_HELD:
            if key in now:
                yield from broken(recorded[key], now[key], f"{path} > {key}" if path else key)
            else:
                yield f"{path} > {key}: gone"
        for key in now.keys() - recorded.keys():
            if isinstance(now[key], dict) and now[key].get("required"):
                yield f"{path} > {key}: new and required"
    elif isinstance(recorded, list) and isinstance(now, list) and path.rpartition(" > ")[2] in MAY_GROW:
        yield from (f"{path}: {each!r} is gone" for each in recorded if each not in now)
    elif recorded != now:
        yield f"{path}: recorded {recorded!r}, now {now!r}"
