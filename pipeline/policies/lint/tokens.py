"""Rules about the tokens of a policy's texts."""

from collections.abc import Iterator
from typing import Protocol

from pipeline.events.texts import Token
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.lint.findings import Finding, finding, texts_of
from pipeline.policies.lint_rules import Rule

# A word split into this many tokens was too rare in the tokenizer's corpus to have a token of its own.
SHATTERED = 4


class Tokenizer(Protocol):
    """
    A model's tokenizer.

    `tokens` splits a text into tokens, without truncation and special tokens. The tower reads `max_tokens` of them.
    """

    max_tokens: int

    def tokens(self, text: str) -> list[Token]: ...


def check_tokens(written: ParsedPolicy, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Find texts that are too long for the tower, and words that the tokenizer does not know or splits."""
    for place, text in texts_of(written):
        if cut := _cut(text, written.file.templates, tokenizer):
            yield finding(Rule.TOO_LONG, written, place, f"the tower reads no further than `{cut}`")
        if words := _shattered(text, tokenizer):
            yield finding(Rule.SHATTERED_WORD, written, place, f"{', '.join(words)} in `{text}`")


def _cut(text: str, templates: list[str], tokenizer: Tokenizer) -> str | None:
    """Return the part of the text that the tower reads in the longest template, None if it reads everything."""
    for template in sorted(templates, key=len, reverse=True):
        filled = template.format(text)
        tokens = tokenizer.tokens(filled)
        if len(tokens) > tokenizer.max_tokens:
            return filled[: tokens[tokenizer.max_tokens - 1].stop]
    return None


def _shattered(text: str, tokenizer: Tokenizer) -> list[str]:
    tokens = tokenizer.tokens(text)
    found, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        stop = start + len(word)
        inside = [token for token in tokens if start <= token.start and token.stop <= stop and token.stop > token.start]
        parts = "·".join(text[token.start : token.stop] for token in inside)
        if any(not token.known for token in inside):
            found.append(f"`{word}` is unknown")
        elif len(inside) >= SHATTERED + word.count("-") * 2:
            found.append(f"`{word}` is `{parts}`")
        start = stop
    return found
