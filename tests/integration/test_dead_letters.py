"""`watchword dead-letters` on a real broker: letters listed, saved, dropped, and requeued exactly once."""

import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from typer.testing import CliRunner, Result

from pipeline.cli.main import app
from pipeline.errors import DeadLetterReason, UsageError
from pipeline.events.records import Origin, Record
from pipeline.events.schemas.json_schema import record_schema
from pipeline.events.wire.handling import Action, Handling
from pipeline.events.wire.versions import header_text
from tests.support.letters import Killer, letter, requeued, send_letters, start_requeue
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000


@pytest.fixture
def stream(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """A stream with the settings of this process."""
    with Stream(stack, tmp_path, WATCHWORD_ACCESS_LOG=str(tmp_path / "access.jsonl")) as stream:
        for name, value in stream.environment.items():
            monkeypatch.setenv(name, value)
        yield stream


def run(*words: str, answer: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["dead-letters", *words], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(*words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("list", *words).stdout.splitlines()]


def offsets(*words: str) -> list[int]:
    return sorted(int(str(row["origin"]).rsplit("/", 1)[1]) for row in rows(*words))


def handlings(stream: Stream) -> list[Handling]:
    return [Handling.parse(each) for each in stream.records(stream.settings.topic_dead_letter_handling)]


def put_back(stream: Stream) -> dict[str, Record]:
    found = stream.records(stream.settings.topic_images)
    return {header_text(each.headers, "watchword-requeued-from") or "": each for each in found}


def test_letters_are_selected_by_reason_time_and_position(stream: Stream) -> None:
    empty, fetch = DeadLetterReason.EMPTY, DeadLetterReason.FETCH_FAILED
    send_letters(
        stream,
        [
            letter(stream, 3),
            letter(stream, 4, partition=1, reason=fetch),
            letter(stream, 5, partition=1, reason=empty, value=None),
            letter(stream, 40, reason=fetch),
        ],
    )
    assert offsets() == [3, 4, 5, 40]
    assert offsets("--reason", "fetch_failed", "--reason", "empty") == [4, 5, 40]
    assert offsets("--partition", "1", "--offset", "4-40") == [4, 5]
    assert offsets(f"{stream.settings.topic_images}/0/40", f"{stream.settings.topic_images}:0:3") == [3, 40]
    assert (offsets("--since", "1h"), offsets("--since", "0h"), offsets("--until", "2020-01-01")) == (offsets(), [], [])
    assert len(rows("--limit", "2")) == 2
    counts = run("list", "--counts").stdout
    assert json.loads(counts.splitlines()[0]) == {"reason": "fetch_failed", "count": 2}
    table = run("list", "--format", "table").stdout
    assert "4 dead letters: 2 fetch_failed" in table
    assert re.search(rf"empty +{stream.settings.topic_images}/1/5 .* – +e5 +broken data stream", table)
    with pytest.raises(UsageError, match="no dead letter of"):
        run("list", "images/0/99")
    with pytest.raises(UsageError, match="expected an offset or a range"):
        run("list", "--offset", "9-3")


def test_a_letter_is_shown_in_full_and_saved_bit_for_bit(stream: Stream, tmp_path: Path) -> None:
    value = bytes(range(256))
    brought = (("ce_id", b"e1"), ("ce_source", b"tests"), ("note", b"caf\xe9"))
    send_letters(
        stream,
        [
            letter(stream, 1, value=value, key=None, headers=brought, timestamp_ms=1_700_000_000_123),
            letter(stream, 2, value=None, reason=DeadLetterReason.EMPTY),
            letter(stream, 3, topic="../../etc/passwd\n"),
        ],
    )
    origin = f"{stream.settings.topic_images}/0/1"
    shown = json.loads(run("show", origin, "--format", "json").stdout)
    assert (shown["reason"], shown["key"], shown["size_bytes"], shown["attempt"]) == ("corrupt_image", None, 256, 1)
    assert (shown["headers"]["note"], shown["timestamp_ms"]) == ("caf\\xe9", 1_700_000_000_123)
    assert "header        note: caf\\xe9" in run("show", origin).stdout
    out = tmp_path / "letters"
    manifest = Path(run("save", "--out", str(out)).stdout.strip())
    lines = {line["origin"]: line for line in map(json.loads, manifest.read_text().splitlines())}
    assert (out / lines[origin]["file"]).read_bytes() == value
    assert sum(line["file"] is None for line in lines.values()) == 1, "a record without a value has no file"
    files = list(out.iterdir())
    assert len(files) == 3
    assert all(re.fullmatch(r"[0-9A-Za-z._-]+", file.name) for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    [access] = map(json.loads, (tmp_path / "access.jsonl").read_text().splitlines())
    assert (access["command"], origin in access["letters"]) == ("dead-letters save", True)
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        run("save", "--out", str(out))


def test_a_dropped_letter_is_out_of_the_way_until_the_drop_is_taken_back(stream: Stream) -> None:
    send_letters(stream, [letter(stream, n, reason=DeadLetterReason.EMPTY) for n in (1, 2)])
    origin = f"{stream.settings.topic_images}/0/1"
    assert "Missing option '--note'" in run("drop", "--yes").stderr
    assert run("drop", origin, "-m", "spam", answer="n\n").exit_code == 1
    assert offsets() == [1, 2], "nothing is dropped without a yes"
    assert run("drop", origin, "-m", "order 12/2031", "--by", "ana", "--yes").stdout == "1 dead letter dropped\n"
    assert (offsets(), offsets("--all")) == ([2], [1, 2])
    refused = run("requeue", origin, "--yes")
    assert re.search(r"refused: \S+/0/1: dropped by ana, \S+ \S+ UTC; `drop --undo`", refused.stderr)
    assert run("requeue", "--yes", "-n", "5").stdout.startswith("1 dead letter requeued")
    assert "no dead letters" in run("drop", "-m", "again", "--yes").stderr
    assert run("drop", origin, "--undo", "-m", "a mistake", "--yes").stdout == "1 dead letter restored\n"
    assert run("requeue", "--yes").stdout.startswith("1 dead letter requeued")
    told = [(each.action, each.origin.offset, each.note) for each in handlings(stream)]
    assert told == [
        (Action.DROPPED, 1, "order 12/2031"),
        (Action.REQUEUED, 2, ""),
        (Action.RESTORED, 1, "a mistake"),
        (Action.REQUEUED, 1, ""),
    ]
    schema = Draft202012Validator(record_schema(Handling.KIND), format_checker=FormatChecker())
    for record in stream.records(stream.settings.topic_dead_letter_handling):
        schema.validate(json.loads(record.value or b""))
        assert header_text(record.headers, "ce_type") == "watchword.dead_letter_handling.v1"
    assert requeued(stream) == {f"{stream.settings.topic_images}/0/{n}": 1 for n in (1, 2)}


def test_a_requeued_record_is_the_one_that_was_dead_lettered(stream: Stream) -> None:
    """Key, value, headers, timestamp and partition return; what the letter cannot give back is refused."""
    topic, now = stream.settings.topic_images, int(time.time() * 1000)
    whole = (("ce_id", b"e1"), ("CE_Source", b"tests"), ("note", b"caf\xe9"))
    send_letters(
        stream,
        [
            letter(stream, 1, partition=3, key=None, value=b"one", headers=whole, timestamp_ms=now - DAY_MS),
            letter(stream, 2, partition=2, key=b"", value=None, headers=()),
            letter(stream, 3, key=None, value=None),
            letter(stream, 4, reason=DeadLetterReason.UNREADABLE),
            letter(stream, 5, value=b"x" * 4000, limit_bytes=2000),
            letter(stream, 6, topic="elsewhere"),
            letter(stream, 7, headers=(("watchword-attempt", b"3"),)),
            letter(stream, 8, timestamp_ms=now - 400 * DAY_MS),
        ],
    )
    dry = run("requeue", "--dry-run")
    assert "to requeue" in dry.stderr
    assert requeued(stream) == {}
    done = run("requeue", "--yes")
    assert done.stdout == f"2 dead letters requeued to {topic}\n"
    refusals = dict(re.findall(r"refused: \S+/0/(\d): (.*)", done.stderr))
    assert {offset: text.split()[0] for offset, text in refusals.items()} == {
        "3": "it",
        "4": "the",
        "5": "truncated",
        "6": "its",
        "7": "3",
        "8": "older",
    }
    first, second = (put_back(stream)[f"{topic}/{partition}/{n}"] for partition, n in ((3, 1), (2, 2)))
    assert (first.key, first.value, first.timestamp_ms, first.origin.partition) == (None, b"one", now - DAY_MS, 3)
    own = (("watchword-requeued-from", f"{topic}/3/1".encode()), ("watchword-attempt", b"2"))
    assert first.headers == (*whole, *own)
    assert (second.key, second.value, second.origin.partition) == (b"", None, 2)
    assert dict(second.headers)["ce_id"] == f"{topic}/2/2".encode(), "a bare record keeps the id it had"
    run("requeue", f"{topic}/0/7", "--max-attempts", "4", "--yes")
    run("requeue", f"{topic}/0/8", "--present-time", "--yes")
    assert dict(put_back(stream)[f"{topic}/0/7"].headers)["watchword-attempt"] == b"4"
    late = put_back(stream)[f"{topic}/0/8"]
    assert (late.timestamp_ms or 0) > now
    assert (header_text(late.headers, "ce_time") or "")[:4] < "2026"


def test_a_requeued_record_is_judged_once_or_comes_back_with_its_count(
    stream: Stream, revolver: bytes, samples: Path
) -> None:
    watch = next((samples / "images/watch").iterdir()).read_bytes()
    stream.send([stream.image("revolver", revolver), stream.image("broken", revolver[:2000])])
    bare = stream.image("bare", watch)
    stream.send([type(bare)(bare.topic, None, watch)])
    small = stream.worker(WATCHWORD_MAX_IMAGE_BYTES="2500")
    stream.wait_until_committed(3)
    small.kill()
    assert {str(row["reason"]) for row in rows()} == {"too_large", "corrupt_image"}
    assert run("requeue", "--yes").stdout.startswith("3 dead letters")
    stream.worker()
    wait_until(lambda: len(stream.verdicts()) == 2 and rows(), 60, "the requeued records judged")
    verdicts = {each["event"]["id"]: each for each in stream.verdicts()}
    [first] = {row["requeued_from"] for row in rows()}
    origins = {row["event_id"] or row["key"]: row["origin"] for row in rows("--all") if row["attempt"] == 1}
    assert first == origins["broken"]
    assert verdicts.keys() == {"revolver", origins[None]}, "the bare record keeps its id"
    [again] = rows()
    assert (again["event_id"], again["attempt"], again["reason"]) == ("broken", 2, "corrupt_image")
    assert "2 attempts already" in run("requeue", "--max-attempts", "2").stderr
    audit = stream.audit()
    assert audit.adds_up, audit
    assert (audit.records, audit.verdicts, audit.dead_letters) == (6, 2, 4)


def test_a_requeue_that_is_killed_again_and_again_requeues_each_letter_once(stream: Stream) -> None:
    send_letters(stream, [letter(stream, n, partition=n % 4, key=b"%d" % n) for n in range(400)])
    toll = Killer(stream, rate=50, seed=5).run(kills=3)
    assert set(toll.requeued.values()) == {1}, toll.line(400)
    assert len(toll.requeued) == 400, toll.line(400)
    assert toll.kills == 3
    assert toll.left < 400, "the killed runs requeued some"
    assert len(handlings(stream)) == 400


def test_of_two_requeues_at_once_the_later_one_takes_over(stream: Stream) -> None:
    send_letters(stream, [letter(stream, n) for n in range(60)])
    slow = start_requeue(stream, "--rate", "10")
    wait_until(lambda: handlings(stream), 30, "the first letter requeued")
    assert run("requeue", "--yes").exit_code == 0
    out, err = slow.communicate(timeout=30)
    assert (slow.returncode, out) == (1, "")
    assert "another `dead-letters` command took over" in err
    assert set(requeued(stream).values()) == {1}
    assert len(requeued(stream)) == 60
    assert "Traceback" not in err


def test_a_topic_made_again_uses_its_offsets_again(stream: Stream) -> None:
    """Letters of other records at the same positions are not taken for those that were handled."""
    send_letters(stream, [letter(stream, 1, timestamp_ms=int(time.time() * 1000) - 5000)])
    assert run("requeue", "--yes").stdout.startswith("1 dead letter")
    again = letter(stream, 1)
    send_letters(stream, [again, again])
    assert offsets() == [1]
    assert run("requeue", "--yes").stdout.startswith("1 dead letter")
    assert offsets() == []
    assert Origin(stream.settings.topic_images, 0, 1) in {each.origin for each in handlings(stream)}
