"""Some of many, spread over all of them."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return `most` of `items` at even distances, or all when they are no more."""
    if len(items) <= most:
        return items
    return [items[place * len(items) // most] for place in range(most)]
