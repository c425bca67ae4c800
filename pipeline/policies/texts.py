"""Types of the texts in policies: prompts, templates, remarks and ids, with their limits."""

import re
import unicodedata
from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from pipeline.bounded import brief

LONGEST_TEXT = 500
LONGEST_REMARK = 20_000
LONGEST_ID = 100
MOST_TEXTS = 10_000
# The number of repeated texts that a message names.
_MOST_NAMED = 5

_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
# Characters that control a terminal or reverse the text around them: a prompt must be what it looks like.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _without_controls(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"a control character, U+{ord(found[0]):04X}; write the text without it")
    return text


def plain_text(text: str) -> str:
    """
    Return a text in one canonical spelling: composed characters and single spaces.

    Raises `ValueError` for an empty or too long text, and for control characters.
    """
    plain = " ".join(unicodedata.normalize("NFC", _without_controls(text)).split())
    if not 0 < len(plain) <= LONGEST_TEXT:
        raise ValueError(f"expected text of 1 to {LONGEST_TEXT} characters")
    return plain


def _remark(text: str) -> str:
    if len(text) > LONGEST_REMARK:
        raise ValueError(f"expected text of at most {LONGEST_REMARK:,} characters")
    return _without_controls(text)


_SHORT = StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)
Text = Annotated[str, _SHORT, AfterValidator(plain_text)]
Remark = Annotated[str, AfterValidator(_remark)]


def policy_id(text: str) -> str:
    """Return a policy id. Raises `ValueError` if the text is not one."""
    if not _ID.fullmatch(text):
        raise ValueError(
            f"`{brief(text)}` is not an id: use small letters, digits and `_`, with dots between, "
            "such as `sale.chandeliers`"
        )
    if len(text) > LONGEST_ID:
        raise ValueError(f"expected an id of at most {LONGEST_ID} characters")
    return text


PolicyId = Annotated[
    str,
    AfterValidator(policy_id),
    WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$", "maxLength": LONGEST_ID}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=50)]


def _one_placeholder(template: str) -> str:
    if template.count("{}") != 1 or re.search("[{}]", template.replace("{}", "")):
        raise ValueError("a template must contain `{}` once, where the prompt goes, and no other braces")
    return template


def distinct(texts: list[str]) -> list[str]:
    """Return the texts. Raises `ValueError` if one is repeated."""
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
    """Return the schema of a list of texts and shared lists. With `whole`, one shared list may replace the list."""
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
