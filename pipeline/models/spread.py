"""Evenly spaced samples."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return `most` of `items` at even distances, or all of them when there are fewer."""
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]
