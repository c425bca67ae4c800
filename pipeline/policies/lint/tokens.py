"""Rules about what the text tower gets to read."""

from collections.abc import Iterator
from typing import Protocol

from pipeline.events.texts import Piece
from pipeline.policies.lint.findings import Finding, finding, texts_of
from pipeline.policies.lint_rules import Rule
from pipeline.policies.load import ParsedPolicy

# A word of so many pieces was too rare in the tokenizer's corpus to have any of its own.
SHATTERED = 4


class Pieces(Protocol):
    """
    A model's tokenizer.

    `pieces` splits a text into tokens, uncut and without special ones; `room` is how many of them the tower reads.
    """

    room: int

    def pieces(self, text: str) -> list[Piece]: ...


def check_tokens(written: ParsedPolicy, tokenizer: Pieces) -> Iterator[Finding]:
    """Look at what becomes of a policy's texts."""
    for place, text in texts_of(written):
        if cut := _cut(text, written.file.templates, tokenizer):
            yield finding(Rule.TOO_LONG, written, place, f"the tower reads no further than `{cut}`")
        if words := _shattered(text, tokenizer):
            yield finding(Rule.SHATTERED_WORD, written, place, f"{', '.join(words)} in `{text}`")


def _cut(text: str, templates: list[str], tokenizer: Pieces) -> str | None:
    """Return what is read of the text in the longest template, when that is not all."""
    for template in sorted(templates, key=len, reverse=True):
        filled = template.format(text)
        pieces = tokenizer.pieces(filled)
        if len(pieces) > tokenizer.room:
            return filled[: pieces[tokenizer.room - 1].stop]
    return None


def _shattered(text: str, tokenizer: Pieces) -> list[str]:
    pieces = tokenizer.pieces(text)
    found, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        stop = start + len(word)
        inside = [piece for piece in pieces if start <= piece.start and piece.stop <= stop and piece.stop > piece.start]
        parts = "·".join(text[piece.start : piece.stop] for piece in inside)
        if any(not piece.known for piece in inside):
            found.append(f"`{word}` is unknown")
        elif len(inside) >= SHATTERED + word.count("-") * 2:
            found.append(f"`{word}` is `{parts}`")
        start = stop
    return found
