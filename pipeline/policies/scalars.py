"""Values of YAML text without quotes, by the core schema of YAML 1.2, in which `off` is text."""

import re

# A longer number is left as text; no key takes one.
LONGEST_NUMBER = 400

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile("[-+]?[0-9][0-9_]*")
_BASED = re.compile("[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+)")
_REAL = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9_]+|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FIRST = frozenset("0123456789+-.")


def plain_value(text: str) -> str | int | float | bool | None:
    """Return a truth value, None, a number, or the text itself. Dates stay text; the schema parses them."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST or len(text) > LONGEST_NUMBER:
        return text
    return _number(text)


def _number(text: str) -> str | int | float:
    digits = text.replace("_", "")
    try:
        if _INTEGER.fullmatch(text):
            return int(digits)
        if _BASED.fullmatch(text):
            return int(digits, 0)
        if _REAL.fullmatch(text):
            return float(digits)
        if _NO_NUMBER.fullmatch(text):
            return float(text.lower().replace(".", ""))
    except ValueError:
        return text
    return text
