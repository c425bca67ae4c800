"""Chunks between the stages of a flow."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.events.chunks import Chunk
from pipeline.events.images import DecodedImage
from pipeline.events.outcomes import DeadLetter, Verdict
from pipeline.events.records import Origin
from pipeline.stream.chunk_trace import ChunkTrace

Outcomes = list[tuple[Origin, DecodedImage | DeadLetter]]


@dataclass(frozen=True, slots=True)
class Decoding:
    """A chunk whose records are being decoded, a slice in each task."""

    chunk: Chunk
    trace: ChunkTrace
    slices: list[Future[Outcomes]]


@dataclass(frozen=True, slots=True)
class Encoding:
    """A chunk whose images are being encoded; each batch is float32 [N, D]."""

    chunk: Chunk
    trace: ChunkTrace
    images: list[DecodedImage]
    dead_letters: list[DeadLetter]
    batches: list[Future[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A chunk with its outcomes; `roles` says by which set, current or canary, each verdict was made."""

    chunk: Chunk
    trace: ChunkTrace
    verdicts: list[Verdict]
    roles: list[str]
    dead_letters: list[DeadLetter]

    def without(self, refused: Sequence[DeadLetter]) -> Self:
        """Return the chunk with dead letters in place of the verdicts of the same records."""
        if not refused:
            return self
        gone = {letter.record.origin for letter in refused}
        kept = [index for index, each in enumerate(self.verdicts) if each.image.event.origin not in gone]
        return replace(
            self,
            verdicts=[self.verdicts[index] for index in kept],
            roles=[self.roles[index] for index in kept],
            dead_letters=[*self.dead_letters, *refused],
        )
