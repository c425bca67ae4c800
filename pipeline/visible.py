"""Safe display of text from outside: control characters, hidden characters and reversed text are escaped."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# Characters that control a terminal, reverse text or are invisible (Default_Ignorable_Code_Point of Unicode without
# variation selectors), and surrogates, as which Python represents bytes of file names that are not UTF-8.
_UNSEEN = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff"
)
# Many scripts and emoji need joiners, which are then between characters beyond ASCII.
_JOINER = "(?<![^\\x00-\\x7f])[\\u200c\\u200d]|[\\u200c\\u200d](?![^\\x00-\\x7f])"
_HIDDEN = re.compile(f"[{_UNSEEN}]|{_JOINER}")
_HIDDEN_IN_LINE = re.compile(f"[{_UNSEEN}\\n\\t]|{_JOINER}")
_SURROGATE = re.compile("[\\ud800-\\udfff]")
_BEYOND_ASCII = re.compile("[^\\x00-\\x7f]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object) -> str:
    r"""Return text with control and hidden characters escaped, for example `\x1b`, except line breaks and tabs."""
    return _HIDDEN.sub(_escaped, str(text))


def one_line(text: object) -> str:
    """Return text like `visible` on one line: line breaks and tabs are escaped too."""
    return _HIDDEN_IN_LINE.sub(_escaped, str(text))


def encodable(text: object) -> str:
    r"""Return text that can be encoded as UTF-8: a byte of a file name that is not UTF-8 becomes `\xff`."""
    return _SURROGATE.sub(_escaped, str(text))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """
    Return JSON that every parser accepts and that a terminal can show safely.

    Hidden characters are written as JSON escapes, so parsers still read them. Lone surrogates, which UTF-8 cannot
    encode, become text like in `encodable`. NaN and infinity become null.
    """
    return safe_json(json.dumps(_plain(value), ensure_ascii=False, indent=indent, allow_nan=False, default=_path))


def safe_json(text: str) -> str:
    """Return equivalent JSON with hidden characters escaped like in `json_text`."""
    return _HIDDEN.sub(_escaped_in_json, text)


def json_for(encoding: str | None, text: str) -> str:
    """Return JSON for an output with this encoding: unchanged for UTF-8, otherwise in ASCII."""
    if (encoding or "utf-8").lower().startswith("utf"):
        return text
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 -- PEP 383: surrogates for undecodable bytes
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:  # noqa: PLR2004 -- what `\x` holds
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- what `\u` holds


def _escaped_in_json(found: re.Match[str]) -> str:
    if found[0] == "\r":
        return found[0]  # white space between values; in a string it is escaped already
    if _SURROGATE.match(found[0]):
        return "\\" + _escaped(found)
    return json.dumps(found[0])[1:-1]


def _path(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{value!r} cannot be written as JSON")


def _plain(value: Any) -> Any:
    """Return a value with null in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
