"""Tokens of a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """A token's position in a text, `start` to `stop` in characters. `known` is false for the unknown-word token."""

    start: int
    stop: int
    known: bool
