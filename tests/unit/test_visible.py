"""Text from outside never controls a terminal, hides, reads backwards or breaks JSON."""

import json

import orjson
import pytest

from pipeline.counted import counted
from pipeline.visible import encodable, json_for, json_text, one_line, safe_json, visible

HIDDEN = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\xad", "\u061c", "\u200b", "\u200e", "\u2028"]
HIDDEN += [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xE0041)]


@pytest.mark.parametrize("character", HIDDEN, ids=lambda each: f"{ord(each):x}")
def test_control_and_invisible_characters_are_escaped(character: str) -> None:
    shown = visible(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    assert shown.encode().decode("unicode_escape") == f"a{character}b", "and says what it was"


def test_lines_and_tabs_are_kept_in_text_and_escaped_in_a_line() -> None:
    assert visible("a\n\tb\r") == "a\n\tb\\r"
    assert one_line("a\n\tb\r") == "a\\n\\tb\\r"


def test_a_byte_of_a_file_name_that_is_not_utf8_is_shown_and_encodable() -> None:
    name = b"caf\xe9\xff.jpg".decode(errors="surrogateescape")
    assert visible(name) == encodable(name) == "caf\\xe9\\xff.jpg"
    assert encodable("\ud83d alone") == "\\ud83d alone"


@pytest.mark.parametrize("text", ["naïve café", "می\u200cخواهم", "👨\u200d👩\u200d👧", "क\u094d\u200dष", "日本語"])
def test_text_in_any_language_is_unchanged(text: str) -> None:
    assert visible(text) == one_line(text) == encodable(text) == text


def test_a_joiner_between_plain_letters_is_escaped() -> None:
    assert visible("wea\u200dpon \u200c") == "wea\\u200dpon \\u200c"


def test_json_is_portable_unchanged_in_meaning_and_safe_to_show() -> None:
    value = {"a\x9b": ["\u202e", "\x1b", "é", "\U000e0041", "\u200d", '"\\'], "n": 1.5}
    text = json_text(value)
    assert orjson.loads(text) == json.loads(text) == value
    assert visible(text) == text
    assert orjson.loads(safe_json(json.dumps(value, ensure_ascii=False))) == value


def test_json_has_null_for_nan_and_text_for_lone_surrogates() -> None:
    text = json_text({"nan": float("nan"), "ends": (float("inf"), 1.0), "name": "a\udcff"})
    assert orjson.loads(text) == {"nan": None, "ends": [None, 1.0], "name": "a\\xff"}


def test_json_for_an_output_that_is_not_utf8_is_ascii() -> None:
    text = json_text({"é": "日\U0001f600"})
    assert json_for("utf-8", text) == json_for(None, text) == text
    assert json_for("latin-1", text).isascii()
    assert json.loads(json_for("latin-1", text)) == json.loads(text)


def test_a_count_of_one_is_singular() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(number, "group of copies") for number in (1, 2)] == ["1 group of copies", "2 groups of copies"]
    assert counted(2, "policy") == "2 policies"
