"""Ports of the stream: the sources and sinks that it works with."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.events.chunks import Chunk
from pipeline.events.outcomes import DeadLetter, Verdict


class Source(Protocol):
    """
    A source of chunks. Called by one thread only.

    `poll` may block up to its timeout and returns None when nothing arrived. While `needs_rewind` is true, it returns
    None until `rewind`, called when no chunk is in flight, has sought the committed offsets. `rewind` returns the
    position of each partition, or None: then call it again after `keep_alive`, which keeps the membership of the group
    without reading. `request_rewind` makes `needs_rewind` true. `reached` returns, for each partition, the offset up to
    which every record was handed out. All raise `BrokerFault` (call again), `InstanceTaken` and `PositionLost` (stop).
    """

    @property
    def needs_rewind(self) -> bool: ...

    def request_rewind(self) -> None: ...

    def poll(self, timeout_s: float, max_records: int, max_bytes: int) -> Chunk | None: ...

    def keep_alive(self, timeout_s: float) -> None: ...

    def rewind(self, timeout_s: float) -> dict[int, int] | None: ...

    def reached(self) -> dict[int, int]: ...


class Sink(Protocol):
    """
    A sink of outcomes, which commits the offsets of their records with them. Called by one thread at a time.

    `emit` blocks until the whole chunk is committed. It returns the dead letters that replaced verdicts too large for
    their topic. After `CommitAborted` the caller must drop the chunks in flight, call `recover` until it does not raise
    `BrokerFault`, and read again from the committed offsets.
    """

    def recover(self) -> None: ...

    def emit(
        self, chunk: Chunk, verdicts: Sequence[Verdict], dead_letters: Sequence[DeadLetter]
    ) -> Sequence[DeadLetter]: ...
