"""`watchword read` on a real broker: stored outcomes, new outcomes, and the end of reading."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.broker.producer import Message
from pipeline.broker.publisher import Publisher
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

READ = [sys.executable, "-m", "pipeline", "read", "flags"]


@pytest.fixture
def stream(stack: Stack, tmp_path: Path) -> Iterator[Stream]:
    with Stream(stack, tmp_path) as stream:
        yield stream


def flag(stream: Stream, *policies: str) -> None:
    with Publisher(stream.connection, max_record_bytes=1 << 20) as publisher:
        for policy in policies:
            value = json.dumps({"policy": {"id": policy}}).encode()
            publisher.send(Message(stream.settings.topic_flags, policy.encode(), value, ()))


def follow(stream: Stream, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*READ, "--follow", *words],
        env={**os.environ, **stream.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def policy(line: str) -> str:
    return str(json.loads(line)["policy"]["id"])


def test_following_shows_stored_then_new_outcomes_until_interrupted(stream: Stream) -> None:
    flag(stream, "a", "b")
    process = follow(stream)
    assert process.stdout is not None
    assert {policy(process.stdout.readline()) for _ in range(2)} == {"a", "b"}
    for each in "cd":
        flag(stream, each)
        assert policy(process.stdout.readline()) == each
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_limit_and_a_policy_hold_while_following(stream: Stream) -> None:
    process = follow(stream, "--policy", "b", "--limit", "2")
    flag(stream, "a", "b", "a", "b", "b")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, [policy(line) for line in out.splitlines()], err) == (0, ["b", "b"], "")


def test_since_leaves_out_earlier_outcomes(stream: Stream) -> None:
    flag(stream, "before")
    [before] = stream.records(stream.settings.topic_flags)
    assert before.timestamp_ms is not None
    moment = datetime.fromtimestamp(before.timestamp_ms / 1000, UTC) + timedelta(milliseconds=1)
    wait_until(lambda: datetime.now(UTC) > moment, 5, "the clock")
    since = moment.isoformat(timespec="milliseconds")
    flag(stream, "after")
    for words in ([], ["--limit", "5"]):
        run = subprocess.run(
            [*READ, "--since", since, *words],
            env={**os.environ, **stream.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [policy(line) for line in run.stdout.splitlines()] == ["after"]
    process = follow(stream, "--since", since, "--limit", "1")
    assert policy(process.communicate(timeout=30)[0]) == "after"
    process = follow(stream, "--since", "0001-01-01", "--limit", "2")
    assert len(process.communicate(timeout=30)[0].splitlines()) == 2


def test_a_closed_pipe_ends_reading_silently(stream: Stream) -> None:
    process = follow(stream)
    assert process.stdout is not None
    flag(stream, "a")
    process.stdout.readline()
    process.stdout.close()
    flag(stream, *"bcdefgh")
    assert process.wait(30) in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
