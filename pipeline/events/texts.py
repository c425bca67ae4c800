"""What a tokenizer makes of a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A token's place in a text, `start` to `stop` in characters; `known` is false for one that stands for anything."""

    start: int
    stop: int
    known: bool
