"""`watchword read` prints valid JSON whatever stands on a topic, of the policy and as many as were asked for."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.cli.stream import read
from pipeline.cli.stream.read import Asked, read_outcomes
from pipeline.errors import UsageError
from pipeline.events.records import Origin, Record

Serve = Callable[..., None]


def record(value: bytes | None, *headers: tuple[str, Any]) -> Record:
    return Record(Origin("t", 0, 7), None, value, headers)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Stands for the topics: whatever is read of them is these records."""

    def stand_in(*records: Record, endless: bool = False) -> None:
        found: Callable[..., Iterator[Record]] = lambda *_: itertools.cycle(records) if endless else iter(records)  # noqa: E731
        for name in ("read_topics", "read_range", "follow_topic"):
            monkeypatch.setattr(read, name, found)

    return stand_in


def lines(kind: str, **asked: Any) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in read_outcomes(Asked(kind, **asked))]


def flag(policy: str) -> Record:
    return record(orjson.dumps({"flag_id": "f", "policy": {"id": policy}}))


def verdict(**flagged: bool) -> Record:
    return record(orjson.dumps({"policies": [{"id": name, "flagged": yes} for name, yes in flagged.items()]}))


def test_outcomes_are_printed_as_they_were_sent(serve: Serve) -> None:
    value = b'{"a": 1.50,  "title": "caf\xc3\xa9"}'
    serve(record(value))
    assert list(read_outcomes(Asked("verdicts"))) == [value.decode()]


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe", b"", None, b"{", b"NaN", b"[" * 5000, b'{"a": "\x1b"}', b'{"a": "\\ud800"}', b"{}\n{}"],
)
def test_what_is_no_json_is_told_as_json(serve: Serve, value: bytes | None) -> None:
    serve(record(value))
    [told] = lines("flags")
    assert (told["error"], told["record"]) == ("not JSON", "t/0/7")


def test_hidden_characters_and_line_breaks_of_an_outcome_are_escapes(serve: Serve) -> None:
    serve(record('{\n"id":\r\n"\x9b\u202e"}'.encode()), record('{"id": "\x9b\u202e"}'.encode()))
    for line in read_outcomes(Asked("flags")):
        assert line.isascii()
        assert json.loads(line) == {"id": "\x9b\u202e"}


def test_a_dead_letter_is_json_whatever_its_headers_are(serve: Serve) -> None:
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
    assert all(line.isascii() for line in read_outcomes(Asked("dead-letters")))


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
    ("asked", "told"),
    [
        (Asked("letters"), "not an outcome"),
        (Asked("dead-letters", policy="a"), "--policy"),
        (Asked("flags", since="yesterday"), "--since yesterday"),
        (Asked("flags", since="9" * 400 + "d"), "--since"),
        (Asked("flags", since="999999w"), "--since"),
    ],
)
def test_what_cannot_be_asked_is_told(serve: Serve, asked: Asked, told: str) -> None:
    serve()
    with pytest.raises(UsageError, match=told):
        list(read_outcomes(asked))


def test_a_stream_without_end_stops_at_the_limit(serve: Serve) -> None:
    serve(flag("a"), flag("b"), endless=True)
    run = CliRunner().invoke(app, ["read", "flags", "--follow", "--policy", "b", "--limit", "3"])
    assert (run.exit_code, len(run.stdout.splitlines())) == (0, 3)


def test_an_interrupt_ends_following_well(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[Record]:
        yield flag("a")
        raise KeyboardInterrupt

    monkeypatch.setattr(read, "follow_topic", interrupted)
    monkeypatch.setattr(read, "read_topics", interrupted)
    run = CliRunner().invoke(app, ["read", "flags", "--follow"])
    assert (run.exit_code, len(run.stdout.splitlines())) == (0, 1)
    assert CliRunner().invoke(app, ["read", "flags"]).exit_code != 0, "what is not whole is not told as whole"


def test_the_version_is_told() -> None:
    for option in ("--version", "-V"):
        run = CliRunner().invoke(app, [option])
        assert (run.exit_code, run.stdout) == (0, "watchword 0.1.0\n")
