"""Counts as people read them: `1 image`, `2 images`."""

_IRREGULAR = {"match": "matches", "policy": "policies"}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one; of several words the first is counted."""
    return f"{number} {plural(number, noun)}"


def plural(number: int, noun: str) -> str:
    """Return the noun that goes with a number; of several words the first is counted: `group of copies`."""
    first, _, rest = noun.partition(" ")
    many = first if number == 1 else _IRREGULAR.get(first, f"{first}s")
    return f"{many} {rest}".rstrip()
