"""Dependencies go away and come back: the stream waits for them and loses nothing."""

import signal
import threading
from pathlib import Path

import pytest

from tests.support.chaos import Chaos, Plan
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def images(samples: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::25]]


@pytest.mark.parametrize("part", ["triton", "kafka"])
def test_a_server_that_goes_away_mid_run_costs_nothing(
    stack: Stack, tmp_path: Path, images: list[bytes], part: str
) -> None:
    """While Triton or the broker is down nothing is skipped or dead-lettered; when it is back the run ends whole."""
    server = stack.part(part)
    with Stream(stack, tmp_path, WATCHWORD_CHUNK_MAX_RECORDS="32") as stream:
        sent = stream.send(stream.image(f"a{n}", images[n % len(images)]) for n in range(300))
        worker = stream.worker()
        wait_until(lambda: stream.committed() > 0, 60, "the first commit", 0.2)
        server.process.stop()
        threading.Event().wait(5)
        assert worker.running(), worker.tail()
        server.start()
        wait_until(server.ready, 60, f"{part} ready again")
        sent += stream.send(stream.image(f"b{n}", images[n % len(images)]) for n in range(100))
        stream.wait_until_committed(sent)
        counted = stream.audit()
        assert counted.adds_up, counted
        assert (counted.verdicts, counted.dead_letters) == (sent, 0)
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0


@pytest.mark.slow
def test_kills_zombies_and_rebalances_neither_lose_nor_double(
    stack: Stack, tmp_path: Path, images: list[bytes]
) -> None:
    """The short form of `make prove`: SIGKILL with an open transaction, SIGSTOP past the session, joins and leaves."""
    plan = Plan(records=900, kills=3, open_kills=1, stops=1, visits=2, stop_s=6.0)
    with Stream(stack, tmp_path, WATCHWORD_CHUNK_MAX_RECORDS="24", WATCHWORD_SESSION_TIMEOUT_S="4") as stream:
        toll = Chaos(stream, images, plan, print).run()
        assert toll.audit is not None
        assert toll.audit.adds_up, toll.line()
        assert toll.audit.records == toll.sent
        assert toll.open_kills >= plan.open_kills
        assert not toll.ended
