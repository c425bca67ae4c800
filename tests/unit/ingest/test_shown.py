"""Display form of references in details and logs."""

import pytest

from pipeline.ingest.shown import shown


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://u:p@h:80/a/b?token=t#f", "http://h:80/a/b"),
        ("https://h/@user/a", "https://h/@user/a"),
        ("http://u:p@x@[::1]:80/", "http://[::1]:80/"),
        ("http://u:p/w@h/", "http://…/w@h/"),
        ("http://u:p?w@h/", "http://…"),
        ("http:\\\\u:p@h\\a", "http:\\\\h\\a"),
        ("u:p@h/a", "u:h/a"),
        ("file:///a/\x1b[2J\ud800\u202e", "file:///a/\\x1b[2J\\ud800\\u202e"),
    ],
)
def test_a_reference_is_shown_without_secrets_and_control_characters(uri: str, text: str) -> None:
    assert shown(uri) == text


def test_a_long_reference_is_shown_cut() -> None:
    assert len(shown("http://h/" + "\x1b" * 5000)) == 200
