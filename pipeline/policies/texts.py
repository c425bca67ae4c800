"""Texts of policies: prompts, templates and remarks, with what a text may be."""

import re
import unicodedata
from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

LONGEST_TEXT = 500
LONGEST_REMARK = 20_000
MOST_TEXTS = 10_000
# Of texts that are repeated, a message names so many.
_MOST_NAMED = 5

# What a terminal obeys, and what reverses the text around it: a prompt must be what it looks like.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _without_controls(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"a control character, U+{ord(found[0]):04X}; write the text without it")
    return text


def plain_text(text: str) -> str:
    """
    Return text that looks the same in one spelling: composed characters, single spaces.

    Raises `ValueError` for none, for one that is too long and for control characters.
    """
    plain = " ".join(unicodedata.normalize("NFC", _without_controls(text)).split())
    if not 0 < len(plain) <= LONGEST_TEXT:
        raise ValueError(f"text of 1 to {LONGEST_TEXT} characters is expected")
    return plain


def _remark(text: str) -> str:
    if len(text) > LONGEST_REMARK:
        raise ValueError(f"text of at most {LONGEST_REMARK:,} characters is expected")
    return _without_controls(text)


_SHORT = StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)
Text = Annotated[str, _SHORT, AfterValidator(plain_text)]
Remark = Annotated[str, AfterValidator(_remark)]
PolicyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=50)]


def _one_placeholder(template: str) -> str:
    if template.count("{}") != 1 or re.search("[{}]", template.replace("{}", "")):
        raise ValueError("a template must contain `{}` once, where the prompt goes, and no other braces")
    return template


def distinct(texts: list[str]) -> list[str]:
    """Return texts of which none stands twice. Raises `ValueError`."""
    if len(texts) > MOST_TEXTS:
        raise ValueError(f"more than {MOST_TEXTS:,} entries")
    repeated = sorted(text for text, times in Counter(texts).items() if times > 1)
    if repeated:
        others = f" and {len(repeated) - _MOST_NAMED} others" if len(repeated) > _MOST_NAMED else ""
        raise ValueError(f"listed more than once: {', '.join(repeated[:_MOST_NAMED])}{others}")
    return texts


_USE = {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"], "additionalProperties": False}
_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}


def _list_schema(description: str, *, whole: bool = False) -> WithJsonSchema:
    """Describe a list of texts as it may be written: with shared lists among them, or `whole` as one of them."""
    texts = {"type": "array", "items": {"anyOf": [_TEXT, _USE]}, "description": description}
    return WithJsonSchema({"anyOf": [texts, _USE], "description": description} if whole else texts)


Template = Annotated[Text, AfterValidator(_one_placeholder)]
Texts = Annotated[list[Text], AfterValidator(distinct)]
Phrases = Annotated[Texts, _list_schema("phrases, or `{ use: NAME }` for a shared list of them")]
Prompts = Annotated[Phrases, Field(min_length=1)]
Templates = Annotated[
    list[Template],
    Field(min_length=1),
    AfterValidator(distinct),
    _list_schema("sentences with `{}` for the phrase, or `{ use: NAME }` for a shared list of them", whole=True),
]
