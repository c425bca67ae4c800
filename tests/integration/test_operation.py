"""Operation: health, metrics, and a local stack that starts once and stops only its own parts."""

import json
import os
import re
from pathlib import Path

import pytest

from pipeline.broker.topics import Topic, ensure_topics
from pipeline.stack.broken_images import broken_images
from pipeline.stack.local import status, up
from pipeline.stack.process import BackgroundProcess
from tests.support.asking import get
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def value(metrics: str, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", metrics, re.MULTILINE)
    assert found, line
    return float(found[1])


def test_health_readiness_and_metrics_match_the_stream(stack: Stack, tmp_path: Path, revolver: bytes) -> None:
    """A worker is ready when it has partitions, model and policies; its counters match the topics."""
    [port] = free_ports(1)
    broken = list(broken_images(revolver))
    with Stream(stack, tmp_path, WATCHWORD_HTTP_PORT=str(port)) as stream:
        stream.worker()
        wait_until(lambda: get(port, "/readyz")[0] == 200, 30, "readiness")
        assert get(port, "/healthz") == (200, '{"loop": true, "chunks": true, "policies": true}\n')
        parts = ("assigned", "model", "policies", "broker", "topics", "progress")
        assert json.loads(get(port, "/readyz")[1]) == dict.fromkeys(parts, True)
        assert get(port, "/nothing")[0] == 404
        sent = stream.send([stream.image(f"r{n}", revolver) for n in range(5)])
        sent += stream.send(stream.image(each.name, each.value, each.content_type) for each in broken)
        stream.wait_until_committed(sent)
        counted = 'watchword_score_count{policy="weapons.firearms"} 5.0'  # the last to be counted, after its commit
        wait_until(lambda: counted in get(port, "/metrics")[1], 10, "the metrics")
        metrics = get(port, "/metrics")[1]
        assert value(metrics, "watchword_records_total") == sent
        assert value(metrics, 'watchword_verdicts_total{set="current"}') == 5
        assert value(metrics, 'watchword_flags_total{mode="enforce",policy="weapons.firearms",set="current"}') == 5
        assert value(metrics, 'watchword_dead_letters_total{reason="unsupported_format"}') == 3
        assert value(metrics, 'watchword_dead_letters_total{reason="fetch_failed"}') == 0
        assert value(metrics, "watchword_end_to_end_latency_seconds_count") == 5
        assert 'policy_set="' in metrics


def test_up_again_leaves_what_runs_alone(stack: Stack) -> None:
    before = [part.pid for part in status(stack.parts)]
    said: list[str] = []
    up(stack.parts, said.append, 30)
    assert [part.pid for part in status(stack.parts)] == before
    assert not [line for line in said if "starting" in line]


def test_a_reused_process_id_is_not_mistaken_for_ours(tmp_path: Path) -> None:
    process = BackgroundProcess("stranger", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/stranger.json").write_text(json.dumps({"pid": os.getpid(), "created": 1.0}))
    assert process.find() is None
    assert process.stop() is False


def test_a_dead_letter_topic_that_is_too_small_stops_the_worker_at_once(stack: Stack, tmp_path: Path) -> None:
    """Otherwise an accepted input record could not be stored complete as a dead letter."""
    with Stream(stack, tmp_path) as stream:
        small = f"{stream.name}.small"
        ensure_topics(stream.connection, [Topic(small, 1, 1000)])
        worker = stream.worker(WATCHWORD_TOPIC_DEAD_LETTERS=small)
        assert worker.wait(60) == 2
        assert "max.message.bytes" in worker.tail()
