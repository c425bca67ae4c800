"""Traces of chunks: the port that a flow reports to, and the one that ignores everything."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from pipeline.errors import WatchwordError
from pipeline.events.chunks import Chunk
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.retry import Abandoned


class ChunkTrace(Protocol):
    """
    The trace of one chunk. Several threads may call it; it blocks nobody and raises nothing.

    `stage` is a context around one part of a stage, for example one batch: the stage lasts from the start of its first
    part to the end of its last one. `fault` notes a fault during a stage, whether or not a retry mends it. `end` is
    called once all is known; `cause` says why the chunk was not committed, and is empty if it was.
    """

    def stage(self, name: str) -> AbstractContextManager[None]: ...

    def fault(self, stage: str, fault: WatchwordError) -> None: ...

    def end(
        self, cause: str = "", verdicts: Sequence[Verdict] = (), dead_letters: Sequence[DeadLetter] = ()
    ) -> None: ...


class ChunkTracer(Protocol):
    """
    Begins the traces of chunks. `begin` returns None for a chunk that is not sampled.

    `close` waits for at most half a second until the last traces are sent.
    """

    def begin(self, chunk: Chunk) -> ChunkTrace | None: ...

    def close(self) -> None: ...


class NoTrace:
    """The trace of a chunk that is not traced."""

    _NOTHING = nullcontext()

    def stage(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 -- as the port has it
        """Return a context that does nothing."""
        return self._NOTHING

    def fault(self, stage: str, fault: WatchwordError) -> None:
        """Ignore a fault."""

    def end(self, cause: str = "", verdicts: Sequence[Verdict] = (), dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Ignore the end."""


class NoTracer:
    """Traces no chunk."""

    def begin(self, chunk: Chunk) -> None:
        """Return None: no chunk is sampled."""

    def close(self) -> None:
        """Nothing is open."""


NO_TRACE, NO_TRACER = NoTrace(), NoTracer()


def cause_of(error: BaseException) -> str:
    """Return an error as a trace shows it. Unexpected ones are only named: their text may come from a record."""
    if isinstance(error, Abandoned):
        return "dropped before its commit; the records are read again"
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, WatchwordError) else name
