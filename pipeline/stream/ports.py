"""What the stream asks of its neighbours."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.events.chunks import Chunk
from pipeline.events.outcomes import DeadLetter, Verdict


class Source(Protocol):
    """
    Where chunks come from. Called by one thread only.

    `poll` may block up to its timeout and returns None when nothing arrived. Once `moved` is true it returns None until
    `rewind`, called when no chunk is in work, has gone back to what is committed; `rewind` returns each partition's
    position, or None: call again after `idle`. `reached` gives, for each partition, the offset before which nothing is
    left to hand out. All raise `BrokerFault` (call again), `InstanceTaken` and `PositionLost` (stop).
    """

    needs_rewind: bool

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None: ...

    def keep_alive(self, timeout_s: float) -> None: ...

    def rewind(self, timeout_s: float) -> dict[int, int] | None: ...

    def reached(self) -> dict[int, int]: ...


class Sink(Protocol):
    """
    Where outcomes go, together with what they commit. Called by one thread at a time.

    `emit` blocks until the whole chunk is committed, and returns the dead letters that took the place of verdicts which
    no topic admits; after `CommitAborted` the caller must drop what is in work, call `recover` until it does not raise
    `BrokerFault`, and read again from what is committed.
    """

    def recover(self) -> None: ...

    def emit(
        self, polled: Chunk, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]
    ) -> Sequence[DeadLetter]: ...
