"""Ledger of committed offsets, by partition."""

from collections.abc import Mapping, Sequence

from pipeline.errors import CommitAborted
from pipeline.events.chunks import Span


class OffsetLedger:
    """Refuses a chunk that does not start where the previous commit of its partitions ended."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def begin(self, positions: Mapping[int, int]) -> None:
        """Start again from these committed offsets."""
        self._next = dict(positions)

    def check(self, spans: Sequence[Span]) -> None:
        """Raise `CommitAborted` when a span would skip or repeat records."""
        for span in spans:
            if self._next.get(span.partition) != span.start:
                raise CommitAborted(
                    f"partition {span.partition}: the chunk starts at {span.start}, the last commit ended at "
                    f"{self._next.get(span.partition)}"
                )

    def next_offsets(self) -> dict[int, int]:
        """Return, by partition, the offset that the next commit must start at."""
        return dict(self._next)

    def advance(self, spans: Sequence[Span]) -> None:
        """Note that these spans were committed."""
        for span in spans:
            self._next[span.partition] = span.end
