"""Exit codes of commands, and the message that goes with each."""

from pipeline.errors import DeadLetterLimit, InstanceTaken, PositionLost, UsageError, WatchwordError

# The most specific first: the first match counts.
EXIT_CODES: tuple[tuple[type[WatchwordError], int], ...] = (
    (UsageError, 2),
    (DeadLetterLimit, 3),
    (InstanceTaken, 4),
    (PositionLost, 5),
    (WatchwordError, 1),
)
_ADVICE: dict[type[WatchwordError], str] = {
    InstanceTaken: "another worker uses this WATCHWORD_INSTANCE_ID; give each worker a different one",
    PositionLost: "the group's committed position is past the end of the log; to continue would skip or repeat "
    "records; docs/operating.md, `A position past the end`, says how to find out which, and how to set the position",
}


def exit_code_of(error: WatchwordError) -> int:
    """Return the exit code of a command that ended with this error."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def message_of(error: WatchwordError) -> str:
    """Return the error as a message that says what to do."""
    return f"{_ADVICE[type(error)]} ({error})" if type(error) in _ADVICE else str(error)
