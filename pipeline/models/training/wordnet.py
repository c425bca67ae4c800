"""Names and definitions of visible things, from WordNet (Fellbaum 1998). Only training needs them."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UsageError

# The folder of Debian's package `wordnet-base`.
DICTIONARY = Path("/usr/share/wordnet")
# Lexicographer files of nouns (lexnames(5WN)): acts, animals, artefacts, body parts, events, food, groups, places,
# natural objects, people, phenomena, plants, shapes and substances.
SEEN = frozenset({"04", "05", "06", "08", "11", "13", "14", "15", "17", "18", "19", "20", "25", "27"})
LONGEST_WORDS = 20


def installed_entries() -> list[str]:
    """Return the entries of the installed dictionary. Raises `UsageError` when there is none."""
    nouns = DICTIONARY / "data.noun"
    if not nouns.exists():
        raise UsageError(f"`{nouns}` is missing; `make training` installs it, as does Debian's package `wordnet-base`")
    return list(dict.fromkeys(read_entries(nouns)))


def read_entries(nouns: Path) -> Iterator[str]:
    """Read names, and definitions of at most `LONGEST_WORDS` words, from a file in WordNet's format (wndb(5WN))."""
    with nouns.open(encoding="latin-1") as lines:
        for line in lines:
            fields, _, gloss = line.partition(" | ")
            parts = fields.split(" ")
            if line.startswith("  ") or parts[1] not in SEEN:  # the licence stands indented at the top
                continue
            names = parts[4 : 4 + 2 * int(parts[3], 16) : 2]
            yield from (name.replace("_", " ") for name in names)
            yield from _definitions(gloss)


def _definitions(gloss: str) -> Iterator[str]:
    for part in re.sub(r"\([^)]*\)", "", gloss).split(";"):
        definition = " ".join(part.split())
        if definition and not definition.startswith('"') and len(definition.split()) <= LONGEST_WORDS:
            yield definition
