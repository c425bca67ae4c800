"""Text from outside, made fit for people and for parsers: nothing in it steers a terminal, hides or reads backwards."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# Characters that a terminal obeys, that reverse what is read, or that nobody sees (Default_Ignorable_Code_Point of
# Unicode without variation selectors), and surrogates: Python keeps bytes of file names that are no UTF-8 as those.
_UNSEEN = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff"
)
# Joiners belong to the writing of many languages and to emoji, where they stand between characters beyond ASCII.
_JOINER = "(?<![^\\x00-\\x7f])[\\u200c\\u200d]|[\\u200c\\u200d](?![^\\x00-\\x7f])"
_HIDDEN = re.compile(f"[{_UNSEEN}]|{_JOINER}")
_HIDDEN_IN_LINE = re.compile(f"[{_UNSEEN}\\n\\t]|{_JOINER}")
_SURROGATE = re.compile("[\\ud800-\\udfff]")
_BEYOND_ASCII = re.compile("[^\\x00-\\x7f]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object) -> str:
    r"""Return text whose lines and tabs stay, and whose other control and hidden characters are escaped: `\x1b`."""
    return _HIDDEN.sub(_escaped, str(text))


def one_line(text: object) -> str:
    """Return text as `visible` does, on one line: line breaks and tabs are escaped too."""
    return _HIDDEN_IN_LINE.sub(_escaped, str(text))


def encodable(text: object) -> str:
    r"""Return text that UTF-8 can hold: a byte of a file name that is no UTF-8 becomes `\xff`."""
    return _SURROGATE.sub(_escaped, str(text))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """
    Return JSON that every parser takes and a terminal may show.

    Hidden characters are JSON escapes, which parse to themselves; lone surrogates, which UTF-8 cannot hold, become text
    as in `encodable`; a number that is none becomes null.
    """
    return safe_json(json.dumps(_plain(value), ensure_ascii=False, indent=indent, allow_nan=False, default=_path))


def safe_json(text: str) -> str:
    """Return JSON that means the same, its hidden characters escaped as `json_text` does."""
    return _HIDDEN.sub(_escaped_in_json, text)


def json_for(encoding: str | None, text: str) -> str:
    """Return JSON that an output of this encoding can hold: as it is where that is UTF-8, else in ASCII alone."""
    if (encoding or "utf-8").lower().startswith("utf"):
        return text
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 -- PEP 383: where undecodable bytes are kept
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:  # noqa: PLR2004 -- what `\x` holds
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 -- what `\u` holds


def _escaped_in_json(found: re.Match[str]) -> str:
    if found[0] == "\r":
        return found[0]  # white space between values: within a string it is escaped already
    if _SURROGATE.match(found[0]):
        return "\\" + _escaped(found)
    return json.dumps(found[0])[1:-1]


def _path(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no JSON is made of {value!r}")


def _plain(value: Any) -> Any:
    """Return a value in which what is not a finite number is null, as JSON wants it."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
