"""Commands print data as plain text: markup has no effect, and no control character reaches the terminal."""

import io

import pytest
from rich.text import Text

from pipeline.cli.console import Lines, PlainConsole, output, plain_table, print_json, progress_output

HOSTILE = "[/] [bold]x[/bold] :smile: \x1b]0;owned\x07\x9b31m \u202egpj a\nb\tc \udcff"
SHOWN = "[/] [bold]x[/bold] :smile: \\x1b]0;owned\\x07\\x9b31m \\u202egpj a\\nb\\tc \\xff"


def test_a_printed_string_is_one_line_of_data(capsys: pytest.CaptureFixture[str]) -> None:
    output().print(HOSTILE)
    progress_output().print(HOSTILE)
    printed = capsys.readouterr()
    assert printed.out == printed.err == SHOWN + "\n"


def test_a_tables_cells_and_headers_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    table = plain_table("[/]", "\x1b")
    table.add_row(HOSTILE, "x")
    output().print(table)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["[/]", "\\x1b"]
    assert row.startswith(SHOWN)


def test_other_objects_are_printed_as_strings(capsys: pytest.CaptureFixture[str]) -> None:
    output().print(ValueError("\x1b[0m"), 7)
    assert capsys.readouterr().out == "\\x1b[0m 7\n"


def test_intended_line_breaks_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    output().print(Lines("a\n  b\x1b"))
    assert capsys.readouterr().out == "a\n  b\\x1b\n"


def test_an_unencodable_character_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", file)
    table = plain_table("–", "path")
    table.add_row("日", "x" * 300)
    output().print(table)
    output().print(Lines("é\n–"))
    file.flush()
    printed = file.buffer.getvalue()
    assert printed.startswith(b"\\u2013")
    assert printed.endswith(b"\\xe9\n\\u2013\n")


def test_styled_text_keeps_its_style() -> None:
    file = io.StringIO()
    PlainConsole(file=file, force_terminal=True, color_system="standard").print(Text("worse", style="red"))
    assert file.getvalue().startswith("\x1b[31mworse")


def test_json_is_one_line_and_exact(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": "[/] :smile:\t" + "x" * 300, "n": float("nan")})
    assert capsys.readouterr().out == '{"a": "[/] :smile:\\t' + "x" * 300 + '", "n": null}\n'
