"""What people's tools say where there is nothing yet, of one thing, and of what is restricted."""

import dataclasses
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.console import print_json
from pipeline.cli.main import app
from pipeline.emit.jsonlines import JsonLinesSink
from pipeline.errors import DeadLetterReason, UsageError
from pipeline.evaluation.datasets.topic_labels import read_topic_labels
from pipeline.evaluation.stats.intervals import Interval
from pipeline.events.decisions import Decision, Ruling
from pipeline.events.outcomes import DeadLetter
from pipeline.events.records import Origin, Record
from pipeline.operations.decisions import show
from pipeline.operations.stream import explain
from tests.support.deciding import POLICY, decision
from tests.support.publishing import two_policies

NOW = datetime(2031, 5, 20, 12, tzinfo=UTC)


def audited(ruling: Ruling, number: int) -> Decision:
    return decision(ruling, f"e{number}", probability=0.5)


def test_a_policy_that_never_flagged_has_no_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recall is not zero: people may have judged the images before the policy was in force."""
    given = [audited(Ruling.MISSED, number) for number in range(20)]
    monkeypatch.setattr(show, "read_decisions", lambda *_: given)
    row = CliRunner().invoke(app, ["decisions", "show"]).stdout.splitlines()[1]
    assert row.startswith(POLICY.id)
    assert row.split()[5] == "–"
    assert row.endswith(" – (not active when these were judged?)")
    monkeypatch.setattr(show, "read_decisions", lambda *_: [*given, audited(Ruling.UPHELD, 99)])
    row = CliRunner().invoke(app, ["decisions", "show"]).stdout.splitlines()[1]
    assert "(" in row.rsplit("  ", 1)[1]
    assert "in force" not in row


def test_without_decisions_show_says_how_to_record_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "read_decisions", lambda *_: [])
    assert (
        CliRunner().invoke(app, ["decisions", "show"]).stdout.startswith("no decisions yet; `watchword decisions add`")
    )
    assert CliRunner().invoke(app, ["decisions", "show", "--format", "jsonl"]).stdout == ""


def test_measuring_a_restricted_policy_is_noted(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = two_policies(tmp_path / "policies")
    with (folder / "weapons-firearms.yaml").open("a") as text:
        text.write("restricted: true\n")
    rows = ["file,category,split"]
    for kind in ("revolver", "Leopards"):
        rows += [f"{path},{kind},val" for path in sorted((samples / "images" / kind).iterdir())[:2]]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "policy_labels.yaml").write_text("weapons.firearms: [revolver]\n")
    monkeypatch.setenv("WATCHWORD_ACCESS_LOG", str(tmp_path / "access.jsonl"))
    run = CliRunner().invoke(app, ["policies", "measure", str(folder), "--data", str(tmp_path), "--split", "val"])
    assert run.exit_code == 0, run.exception
    [line] = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert (line["command"], line["policies"]) == ("policies measure", ["weapons.firearms"])
    assert (tmp_path / "access.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[" * 5000, b'{"a": ' + b"1" * 5000 + b"}", b"{", b"[]"],
    ids=["no UTF-8", "too deep", "too long a number", "no JSON", "no object"],
)
def test_a_file_of_decisions_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "decided.jsonl").write_bytes(content)
    refused = CliRunner().invoke(app, ["decisions", "add", "--from", str(tmp_path / "decided.jsonl")]).exception
    assert isinstance(refused, UsageError)
    assert "decided.jsonl" in str(refused)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"[" * 5000, b"{}", b"[]", b'{"flag_id": 1, "policy": [], "event": 1, "origin": 2, "image": 3}'],
    ids=["no UTF-8", "too deep", "empty", "no object", "of other types"],
)
def test_what_is_no_flag_is_not_explained(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "flag.json").write_bytes(content)
    refused = CliRunner().invoke(app, ["explain", str(tmp_path / "flag.json")]).exception
    assert isinstance(refused, UsageError)
    assert "not one flag event" in str(refused)


def test_an_id_longer_than_any_file_name_is_looked_for_as_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "read_topics", lambda *_: iter([Record(Origin("t", 0, 0), None, b"{")]))
    refused = CliRunner().invoke(app, ["explain", "x" * 300]).exception
    assert isinstance(refused, UsageError)
    assert "no flag `x" in str(refused)


@pytest.mark.parametrize("content", [b"\xff\xfe", b'id,policies\n"' + b"x" * 140_000 + b'",a\n'])
def test_labels_of_a_topic_that_are_no_csv_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UsageError, match=r"labels\.csv"):
        read_topic_labels(tmp_path / "labels.csv")


def test_a_scans_lines_are_json_whatever_a_file_is_called() -> None:
    letter = DeadLetter(Record(Origin("\x9b\u202e\udcff", 0, 0), None, b"x"), DeadLetterReason.EMPTY, "\ud800", NOW)
    for encoding in ("utf-8", "ascii"):
        output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        JsonLinesSink(output).emit(letter)
        line = output.buffer.getvalue()
        assert line.isascii()
        assert json.loads(line)["path"] == "\x9b\u202e\\xff"


def test_an_interval_that_is_not_known_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(dataclasses.asdict(Interval(float("nan"), 0.0, 1.0)))
    assert json.loads(capsys.readouterr().out) == {"value": None, "lower": 0.0, "upper": 1.0}
