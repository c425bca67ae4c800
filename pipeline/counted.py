"""Counts for people: `1 image`, `2 images`."""

_IRREGULAR = {"match": "matches", "policy": "policies", "process": "processes"}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1. The first word gets the plural."""
    return f"{number} {plural(number, noun)}"


def plural(number: int, noun: str) -> str:
    """Return the noun for a number. The first of several words gets the plural, as in `groups of copies`."""
    first, _, rest = noun.partition(" ")
    many = first if number == 1 else _IRREGULAR.get(first, f"{first}s")
    return f"{many} {rest}".rstrip()
