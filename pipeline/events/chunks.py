"""Chunks: records polled together, with the offsets they commit."""

from dataclasses import dataclass
from typing import Any

from pipeline.events.records import Record


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets of one partition that a chunk covers: from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    Records polled together, in order within each partition.

    `group_metadata` is the consumer group's metadata at the poll that read these records; their commit must be fenced
    with it. Only the broker adapter knows its type.
    """

    records: tuple[Record, ...]
    spans: tuple[Span, ...]
    group_metadata: Any
