"""Deployment: topics by command, workers that leave their group, and workers that are held after an error."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.broker.consumer import GroupConsumer
from pipeline.broker.members import members_of
from pipeline.errors import BrokerFault
from pipeline.stack.worker_process import COMMAND, WorkerProcess
from tests.support.http import get
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

# Records of a partition wait for no longer than this when a worker is stopped on purpose.
PLANNED_MOVE_S = 5.0


def watchword(stream: Stream, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "pipeline", *words),
        env={**os.environ, **stream.environment, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def owners(stream: Stream) -> dict[str, int]:
    """Return the number of partitions of each member; none while the broker does not know the group's coordinator."""
    try:
        found = members_of(stream.connection, stream.settings.group_id)
    except BrokerFault:
        return {}
    return {str(each.instance_id): len(each.partitions) for each in found}


def test_topics_apply_brings_topics_to_the_settings_once(stack: Stack, tmp_path: Path) -> None:
    """The second run finds nothing to change."""
    with Stream(stack, tmp_path, partitions=2) as stream:
        wanted = {
            "WATCHWORD_TOPIC_PARTITIONS": "3",
            "WATCHWORD_VERDICTS_RETENTION_HOURS": "48",
            "WATCHWORD_TOPIC_POLICIES": f"{stream.name}.policies",
        }
        refused = watchword(stream, "topics", "apply", **wanted)
        assert refused.returncode == 1
        assert f"{stream.name}.verdicts: retention.ms 604800000 → 172800000" in refused.stdout
        first = watchword(stream, "topics", "apply", "--yes", **wanted)
        assert first.returncode == 0, first.stderr
        assert first.stdout.replace("8 topics changed", "") == refused.stdout.rstrip() + "\n\n"
        again = watchword(stream, "topics", "apply", **wanted)
        assert (again.returncode, again.stdout) == (0, "no change is needed\n")


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stays"])
def test_partitions_of_a_stopped_worker_are_taken_over_at_once_if_it_leaves(
    stack: Stack, tmp_path: Path, revolver: bytes, *, leaves: bool
) -> None:
    """Otherwise they wait for its session to end."""
    with Stream(
        stack,
        tmp_path,
        WATCHWORD_SESSION_TIMEOUT_S="10",
        WATCHWORD_LEAVE_ON_STOP=str(leaves).lower(),
    ) as stream:
        going, staying = stream.worker(), stream.worker()
        shared = {going.instance_id: 2, staying.instance_id: 2}
        wait_until(lambda: owners(stream) == shared, 60, "two partitions for each worker")
        sent = stream.send(stream.image(f"a{n}", revolver) for n in range(8))
        stream.wait_until_committed(sent)
        going.signal(signal.SIGTERM)
        assert going.wait(30) == 0
        stopped = time.monotonic()
        sent += stream.send(stream.image(f"b{n}", revolver) for n in range(8))
        stream.wait_until_committed(sent)
        waited = time.monotonic() - stopped
        assert (waited < PLANNED_MOVE_S) == leaves, waited
        assert stream.audit().adds_up


def test_a_successor_under_the_same_id_is_not_removed(stack: Stack, tmp_path: Path) -> None:
    """A worker that stops late leaves as the member that it was."""
    with Stream(stack, tmp_path, partitions=1) as stream:
        first, second = joined(stream), joined(stream)
        member_id = second.group_metadata().member_id
        first.close(1, leave=True)
        assert [each.member_id for each in members_of(stream.connection, stream.settings.group_id)] == [member_id]
        second.close(1)


def joined(stream: Stream) -> GroupConsumer:
    consumer = GroupConsumer(
        stream.connection,
        topic=stream.settings.topic_images,
        group_id=stream.settings.group_id,
        instance_id="w",
        session_timeout_s=60,
        max_record_bytes=1 << 20,
    )

    def assigned() -> bool:
        consumer.keep_alive(0.1)
        return consumer.rewind(10) is not None

    wait_until(assigned, 30, "an assignment")
    return consumer


def test_a_held_worker_is_alive_and_not_ready_and_says_why(stack: Stack, tmp_path: Path) -> None:
    """A restart would let more dead letters through, so the process stays, and exits with its code when told to."""
    [port] = free_ports(1)
    with Stream(stack, tmp_path, WATCHWORD_HTTP_PORT=str(port), WATCHWORD_DEAD_LETTER_MINIMUM="0") as stream:
        sent = stream.send([stream.image(f"b{n}", b"no image") for n in range(5)])
        worker = stream.worker((*COMMAND, "--hold"))
        wait_until(lambda: '"worker_held"' in worker.tail(), 60, "the hold")
        assert get(port, "/healthz")[0] == 200
        status, body = get(port, "/readyz")
        assert status == 503
        assert json.loads(body)["exit_code"] == "3"
        assert "cannot be judged" in json.loads(body)["message"]
        assert 'watchword_stopped{code="3"} 1.0' in get(port, "/metrics")[1]
        assert stream.committed() < sent
        worker.signal(signal.SIGTERM)
        assert worker.wait(10) == 3


def test_a_worker_with_a_wrong_setting_is_held_too(tmp_path: Path) -> None:
    [port] = free_ports(1)
    environment = {"WATCHWORD_HTTP_PORT": str(port), "WATCHWORD_BATCH_SIZE": "none"}
    worker = WorkerProcess("w", tmp_path / "w.log", environment, (*COMMAND, "--hold")).start()
    try:
        wait_until(lambda: get(port, "/readyz")[0] == 503, 30, "the hold")
        assert "WATCHWORD_BATCH_SIZE" in json.loads(get(port, "/readyz")[1])["message"]
    finally:
        worker.signal(signal.SIGTERM)
        assert worker.wait(10) == 2


def test_group_leave_removes_a_member_by_name(stack: Stack, tmp_path: Path) -> None:
    """A worker whose machine is lost need not be waited for."""
    with Stream(stack, tmp_path, partitions=1) as stream:
        joined(stream).close(1)
        [listed] = json.loads(watchword(stream, "group", "members", "--format", "json").stdout)
        assert (listed["instance_id"], len(listed["partitions"])) == ("w", 1)
        unknown = watchword(stream, "group", "leave", "v")
        assert unknown.returncode == 2
        assert "its members: `w`" in unknown.stderr
        assert watchword(stream, "group", "leave", "w").returncode == 0
        assert owners(stream) == {}
