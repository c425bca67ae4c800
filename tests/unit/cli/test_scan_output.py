"""The output of a scan: JSON lines that every parser takes, counts, and exit codes."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.images.scan_output import ScanTally
from pipeline.cli.main import app
from pipeline.errors import DeadLetterReason
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Origin, Record
from pipeline.operations.images.scan import ScannedFile

NOW = datetime(2031, 5, 20, 12, tzinfo=UTC)


def unjudged(path: str, detail: str = "") -> ScannedFile:
    return ScannedFile(DeadLetter(Record(Origin(path, 0, 0), None, b"x"), DeadLetterReason.EMPTY, detail, NOW))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_line_is_json_whatever_a_file_is_called(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding))
    ScanTally(as_lines=True, with_cards=False).note(unjudged("\x9b\u202e\udcff", "\ud800"))
    line = output.getvalue()
    assert line.isascii()
    assert json.loads(line)["path"] == "\x9b\u202e\\xff"


def test_a_table_lists_files_that_could_not_be_judged_and_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    tally = ScanTally(as_lines=False, with_cards=False)
    tally.note(unjudged("broken.jpg"))
    tally.print_table()
    _, row, counts = capsys.readouterr().out.splitlines()
    assert row.split() == ["broken.jpg", "not", "judged:", "empty"]
    assert counts == "1 file, 0 flagged, 1 could not be judged"


def test_a_scan_of_nothing_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    tally = ScanTally(as_lines=False, with_cards=False)
    tally.print_table()
    assert capsys.readouterr().out == "0 files, 0 flagged\n"
    assert tally.exit_code() == 0


def test_a_file_that_could_not_be_judged_exits_with_2() -> None:
    tally = ScanTally(as_lines=False, with_cards=False)
    tally.note(unjudged("broken.jpg"))
    assert tally.exit_code() == 2


def test_images_that_only_policies_in_shadow_would_flag_are_counted(tmp_path: Path, revolver: bytes) -> None:
    """Whoever has just written a policy sees that it finds something, and why nothing is flagged."""
    CliRunner().invoke(app, ["policies", "new", "weapons.revolver", "--policies", str(tmp_path / "policies")])
    (tmp_path / "a.jpg").write_bytes(revolver)
    scanned = CliRunner().invoke(app, ["scan", str(tmp_path / "a.jpg"), "--policies", str(tmp_path / "policies")])
    assert (scanned.exit_code, scanned.stdout) == (0, "1 file, 0 flagged\n")
    assert scanned.stderr == "over the threshold, but not flagged in `mode: shadow`: `weapons.revolver` 1 image\n"
