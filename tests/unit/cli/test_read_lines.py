"""`watchword read` prints valid JSON for any record on a topic, and honours the policy and the limit."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.cli.stream.read_output import json_line
from pipeline.errors import UsageError
from pipeline.events.records import Origin, Record
from pipeline.operations.stream import read
from pipeline.operations.stream.read import OutcomeQuery, read_outcomes
from pipeline.operations.workbench import Workbench
from pipeline.settings import Settings

Serve = Callable[..., None]


def record(value: bytes | None, *headers: tuple[str, Any]) -> Record:
    return Record(Origin("t", 0, 7), None, value, headers)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Replace the topics: every read returns these records."""

    def stand_in(*records: Record, endless: bool = False) -> None:
        found: Callable[..., Iterator[Record]] = lambda *_: itertools.cycle(records) if endless else iter(records)  # noqa: E731
        for name in ("read_topics", "read_range", "follow_topic"):
            monkeypatch.setattr(read, name, found)

    return stand_in


def texts(kind: str, **query: Any) -> list[str]:
    outcomes = read_outcomes(Workbench(Settings(), user="ana"), OutcomeQuery(kind, **query))
    return [json_line(outcome, kind) for outcome in outcomes]


def lines(kind: str, **query: Any) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in texts(kind, **query)]


def run_read(*words: str) -> Result:
    return CliRunner().invoke(app, ["read", *words])


def flag(policy: str) -> Record:
    return record(orjson.dumps({"flag_id": "f", "policy": {"id": policy}}))


def verdict(**flagged: bool) -> Record:
    return record(orjson.dumps({"policies": [{"id": name, "flagged": yes} for name, yes in flagged.items()]}))


def test_outcomes_are_printed_as_they_were_sent(serve: Serve) -> None:
    value = b'{"a": 1.50,  "title": "caf\xc3\xa9"}'
    serve(record(value))
    assert texts("verdicts") == [value.decode()]
    assert run_read("verdicts").stdout == value.decode() + "\n"


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe", b"", None, b"{", b"NaN", b"[" * 5000, b'{"a": "\x1b"}', b'{"a": "\\ud800"}', b"{}\n{}"],
)
def test_a_record_that_is_not_json_is_printed_as_json(serve: Serve, value: bytes | None) -> None:
    serve(record(value))
    [told] = lines("flags")
    assert (told["error"], told["record"]) == ("not JSON", "t/0/7")


def test_hidden_characters_and_line_breaks_of_an_outcome_are_escapes(serve: Serve) -> None:
    serve(record('{\n"id":\r\n"\x9b\u202e"}'.encode()), record('{"id": "\x9b\u202e"}'.encode()))
    for line in texts("flags"):
        assert line.isascii()
        assert json.loads(line) == {"id": "\x9b\u202e"}


def test_a_dead_letter_with_any_headers_is_json(serve: Serve) -> None:
    serve(
        record(
            b"\xff" * 5,
            ("ce_id", b"\xff\x1b"), ("none", None), ("watchword-reason", b"faked"), ("watchword-truncated", b"faked"),
            ("watchword-reason", b"empty"), ("watchword-detail", b"\x9b"), ("watchword-truncated", b"12000000"),
        ),
        record(None, ("watchword-truncated", b"faked"), ("watchword-reason", b"empty")),
        record(None, ("ce_id", b"1")),
    )  # fmt: skip
    first, second, third = lines("dead-letters")
    assert (first["reason"], first["truncated"], first["size_bytes"]) == ("empty", "12000000", 5)
    assert first["headers"]["ce_id"] == "\\xff\x1b"
    assert first["headers"]["none"] == ""
    assert first["headers"]["watchword-truncated"] == "faked", "what a producer sent stays among its own"
    assert "truncated" not in second
    assert third == {"headers": {"ce_id": "1"}, "size_bytes": 0}
    assert all(line.isascii() for line in texts("dead-letters"))


def test_flags_of_a_policy_and_verdicts_that_it_flags(serve: Serve) -> None:
    odd = [record(value) for value in (b"[]", b"{", b'{"policy": 1, "policies": {"a": 1}}', b'{"policies": [7]}')]
    serve(flag("a"), flag("b"), *odd)
    assert [each["policy"]["id"] for each in lines("flags", policy="a")] == ["a"]
    serve(verdict(a=True, b=False), verdict(a=False, b=True), *odd)
    assert lines("verdicts", policy="a") == [
        {"policies": [{"id": "a", "flagged": True}, {"id": "b", "flagged": False}]}
    ]
    assert lines("verdicts", policy="none") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["letters"], "not an outcome"),
        (["dead-letters", "--policy", "a"], "--policy"),
        (["flags", "--since", "yesterday"], "--since yesterday"),
        (["flags", "--since", "9" * 400 + "d"], "--since"),
        (["flags", "--since", "999999w"], "--since"),
    ],
)
def test_an_invalid_query_is_an_error(serve: Serve, words: list[str], told: str) -> None:
    serve()
    refused = run_read(*words).exception
    assert isinstance(refused, UsageError)
    assert told in str(refused)


def test_since_is_the_time_from_which_the_topic_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def read_range(_: object, topic: str, since: object, until: object) -> Iterator[Record]:
        asked.append((topic, since, until))
        return iter(())

    monkeypatch.setattr(read, "read_range", read_range)
    assert run_read("flags", "--since", "2031-05-20").exit_code == 0
    assert asked == [("moderation.flags", datetime(2031, 5, 20, tzinfo=UTC), None)]


FLAG = {
    "time": "2031-05-20T12:00:00.123456Z",
    "policy": {"id": "weapons.firearms"},
    "score": 4.25,
    "threshold": 2.5,
    "event": {"id": "post-7\x1b"},
}


def test_a_table_has_one_row_for_any_outcome(serve: Serve) -> None:
    serve(record(orjson.dumps(FLAG)), record(b"{"), record(b'{"score": "high", "event": 3}'))
    header, row, *odd = run_read("flags", "--format", "table").stdout.splitlines()
    assert header.split() == ["time", "policy", "score", "threshold", "event"]
    assert row.split() == ["2031-05-20", "12:00:00", "weapons.firearms", "4.250", "2.500", "post-7\\x1b"]
    assert [line.strip() for line in odd] == ["not an outcome: t/0/7"] * 2


def test_tables_of_verdicts_and_dead_letters_name_policies_and_reasons(serve: Serve) -> None:
    serve(record(orjson.dumps({"policies": [{"id": "a", "flagged": True}, {"id": "b"}], "event": {"id": "e1"}})))
    assert run_read("verdicts", "--format", "table").stdout.splitlines()[1].split() == ["a", "e1"]
    serve(record(b"", ("ce_id", b"e2"), ("watchword-reason", b"empty"), ("watchword-detail", b"no bytes")))
    assert run_read("dead-letters", "--format", "table").stdout.splitlines()[1].split() == [
        "empty",
        "e2",
        "no",
        "bytes",
    ]


def test_a_stream_without_end_stops_at_the_limit(serve: Serve) -> None:
    serve(flag("a"), flag("b"), endless=True)
    run = run_read("flags", "--follow", "--policy", "b", "--limit", "3")
    assert (run.exit_code, len(run.stdout.splitlines())) == (0, 3)


def test_an_interrupt_ends_following_without_an_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[Record]:
        yield flag("a")
        raise KeyboardInterrupt

    monkeypatch.setattr(read, "follow_topic", interrupted)
    monkeypatch.setattr(read, "read_topics", interrupted)
    run = run_read("flags", "--follow")
    assert (run.exit_code, len(run.stdout.splitlines())) == (0, 1)
    assert run_read("flags").exit_code != 0, "what is not whole is not told as whole"


def test_the_version_is_printed() -> None:
    for option in ("--version", "-V"):
        run = CliRunner().invoke(app, [option])
        assert (run.exit_code, run.stdout) == (0, "watchword 0.1.0\n")


def test_shells_can_complete_the_commands() -> None:
    asked = {"_WATCHWORD_COMPLETE": "complete_bash", "COMP_WORDS": "watchword dec", "COMP_CWORD": "1"}
    assert CliRunner().invoke(app, prog_name="watchword", env=asked).stdout.split() == ["decisions"]
