"""Findings of `watchword doctor`: the state of one part, with what was seen and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """State of a checked part. Only `failed` keeps a stream from working."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One finding about the part `name`, for example `broker`; a part may have several.

    `seen` is what was found, `advice` what to do, empty where there is nothing to do.
    """

    name: str
    state: State
    seen: str
    advice: str = ""


def fine(name: str, seen: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(name, State.OK, seen)


def warning(name: str, seen: str, advice: str) -> Finding:
    """Return a finding about something that works and deserves attention."""
    return Finding(name, State.WARNING, seen, advice)


def failed(name: str, seen: str, advice: str = "") -> Finding:
    """Return a finding about something that does not work."""
    return Finding(name, State.FAILED, seen, advice)


def skipped(name: str, seen: str, advice: str = "") -> Finding:
    """Return a finding about something that could not be checked, or that is not in use."""
    return Finding(name, State.SKIPPED, seen, advice)
