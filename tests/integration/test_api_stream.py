"""Outcomes read by the public API from a real broker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import watchword
from tests.support.pages import code_blocks
from tests.support.stream import Stack, Stream

pytestmark = pytest.mark.integration


@pytest.fixture
def stream(stack: Stack, tmp_path: Path, revolver: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """A stream on which a revolver, and a record that is no image, have been judged."""
    with Stream(stack, tmp_path) as stream:
        for name, value in stream.environment.items():
            monkeypatch.setenv(name, value)
        stream.worker()
        stream.wait_until_committed(stream.send([stream.image("gun", revolver), stream.image("note", b"no image")]))
        yield stream


def test_outcomes_are_typed_records(stream: Stream, capsys: pytest.CaptureFixture[str]) -> None:
    ww = watchword.Watchword(bootstrap_servers=stream.stack.bootstrap_servers)
    [flag] = ww.flags()
    assert (flag.event.id, flag.policy.id) == ("gun", "weapons.firearms")
    assert [flag.flag_id for flag in ww.flags(policy="wildlife.reptiles")] == []
    [verdict] = ww.verdicts()
    assert verdict.event.id == "gun"
    assert [answer.id for answer in verdict.policies if answer.flagged] == ["weapons.firearms"]
    assert [verdict.event.id for verdict in ww.verdicts(policy="weapons.firearms")] == ["gun"]
    [letter] = ww.dead_letters()
    assert (letter.event_id, letter.own.reason, letter.value) == ("note", "unsupported_format", b"no image")

    exec(code_blocks("docs/api.md", "python")[-1], {"ww": ww, "since": datetime.now(UTC) - timedelta(days=1)})
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in out[:1]] == [["gun", "high"]]
    assert out[1:] == ["unsupported_format note"]
