"""`watchword doctor`, `top` and `plan` on a real stream: healthy, and with parts missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.broker.topics import delete_topics
from pipeline.cli.main import app
from pipeline.operations.capacity.costs import COMMIT_MS
from tests.attack.probes import Probes
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

COUNTED = 'watchword_score_count{policy="weapons.firearms"}'


@pytest.fixture(scope="module")
def running(stack: Stack, tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[tuple[Stream, Probes]]:
    """A worker that has judged 20 photographs of revolvers."""
    folder = tmp_path_factory.mktemp("tools")
    [port] = free_ports(1)
    (folder / "archive").mkdir()
    revolver = sorted((samples / "images/revolver").iterdir())[0].read_bytes()
    archive = str(folder / "archive")
    with Stream(stack, folder, WATCHWORD_HTTP_PORT=str(port), WATCHWORD_ARCHIVE=archive) as stream:
        stream.worker()
        stream.send(stream.image(f"t{n}", revolver) for n in range(20))
        stream.wait_until_committed(20)
        probes = Probes(port)
        wait_until(lambda: probes.ready() and probes.metric(COUNTED) == 20, 20, "the metrics")
        yield stream, probes


def call(stream: Stream, *words: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--quiet", *words], env={**stream.environment, **environment})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def findings(output: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(output):
        found.setdefault(each["name"], []).append(each)
    return found


def states(found: dict[str, list[dict[str, Any]]]) -> dict[str, set[str]]:
    return {name: {each["state"] for each in several} for name, several in found.items()}


def test_top_shows_what_a_worker_has_done(running: tuple[Stream, Probes]) -> None:
    stream, _ = running
    code, frame = call(stream, "top", "--once", "--interval", "0.2")
    assert code == 0, frame
    lines = [line.split() for line in frame.splitlines()]
    assert ["weapons.firearms", "0.00", "20", "enforce"] in lines
    assert f"0 records of group `{stream.name}`" in frame or f"1 records of group `{stream.name}`" in frame
    [worker] = [line for line in lines if line[0] == f"127.0.0.1:{stream.settings.http_port}"]
    assert (worker[1], worker[3]) == ("ready", "4")
    assert "1 of 1 pass" in frame
    assert sum("weapons.firearms" in line and "t1" in line[-1] for line in lines) >= 1, "a flag of the topic"


def test_top_says_that_a_worker_does_not_answer(running: tuple[Stream, Probes]) -> None:
    stream, _ = running
    own, [nobody] = f"127.0.0.1:{stream.settings.http_port}", free_ports(1)
    _, frame = call(stream, "top", "--once", "--interval", "0.2", "--worker", own, "--worker", f"127.0.0.1:{nobody}")
    assert f"`127.0.0.1:{nobody}` does not answer" in frame
    assert "1 of 1 pass" in frame, "and the other is shown"


def test_doctor_finds_a_healthy_stream_healthy(running: tuple[Stream, Probes]) -> None:
    stream, _ = running
    code, output = call(stream, "doctor", "--format", "json")
    found = findings(output)
    assert code == 0, output
    assert not any("failed" in each for each in states(found).values())
    for name in ("settings", "broker", "group", "model", "triton", "probes", "policies", "archive"):
        assert "ok" in states(found)[name], found[name]
    assert "1 member" in found["group"][-1]["seen"]


def test_plan_reads_the_costs_of_a_worker_at_work(running: tuple[Stream, Probes], revolver: bytes) -> None:
    stream, _ = running
    own = f"127.0.0.1:{stream.settings.http_port}"
    stream.send(stream.image(f"p{n}", revolver) for n in range(200))
    words = ("--images-per-second", "50", "--p99", "60s", "--worker", own, "--interval", "1", "--format", "json")
    code, output = call(stream, "plan", *words)
    assert code == 0, output
    found = json.loads(output)
    assert found["costs"]["commit_ms"] != COMMIT_MS, "the worker's, not the one that is assumed"
    assert min(found["costs"].values()) > 0
    assert found["plan"]["tritons"] >= 50 * found["costs"]["encode_ms"] / 1e3


def test_doctor_names_each_part_that_is_wrong(running: tuple[Stream, Probes]) -> None:
    """The last test of the module: it deletes a topic. What still works is reported next to what does not."""
    stream, _ = running
    [nobody] = free_ports(1)
    delete_topics(stream.connection, [stream.settings.topic_embeddings])
    good = stream.stack.triton_url
    code, output = call(stream, "doctor", "--format", "json", WATCHWORD_TRITON_URL=f"{good},127.0.0.1:{nobody}")
    found = findings(output)
    assert code == 1
    failures = [each["seen"] for several in found.values() for each in several if each["state"] == "failed"]
    assert any(f"no topic `{stream.settings.topic_embeddings}`" in seen for seen in failures), failures
    assert any(f"127.0.0.1:{nobody}" in seen for seen in failures), failures
    assert len(failures) == 2, failures
    assert {each["state"] for each in found["probes"]} == {"ok", "skipped"}
    assert states(found)["policies"] == {"ok"}
