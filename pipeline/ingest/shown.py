"""Safe display of references and foreign texts in details and logs: short, printable and without secrets."""

import re

from pipeline.errors import DeadLetterReason, RecordFault

DETAIL_CHARACTERS = 1000
SHOWN_CHARACTERS = 200

_PARTS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*:)?(?P<slashes>[/\\]*)(?P<authority>[^/\\]*)(?P<path>.*)", re.IGNORECASE | re.DOTALL
)
_HOST_AND_PORT = re.compile(r"([^:]*|\[.*\])(:\d*)?", re.DOTALL)


def plain(text: str, limit: int) -> str:
    """Escape every unprintable or unencodable character, and cut the text to `limit` characters."""
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:limit]
    )
    return escaped if len(escaped) <= limit and len(text) <= limit else escaped[: limit - 1] + "…"


def shown(uri: str) -> str:
    """Return a reference, printable, without user name, password, query and fragment, in at most 200 characters."""
    parts = _PARTS.match(re.split(r"[?#]", uri, maxsplit=1)[0])
    assert parts is not None  # each part may be empty
    authority = parts["authority"].rpartition("@")[2]
    if not _HOST_AND_PORT.fullmatch(authority):
        authority = "…"  # it may be a part of a password that contains a delimiter
    scheme, slashes, path = parts["scheme"] or "", parts["slashes"], parts["path"]
    return plain(f"{scheme}{slashes}{authority}{path}", SHOWN_CHARACTERS)


def fault(reason: DeadLetterReason, detail: str) -> RecordFault:
    """Return a fault with its detail made safe for logs, headers and terminals."""
    return RecordFault(reason, plain(detail, DETAIL_CHARACTERS))
