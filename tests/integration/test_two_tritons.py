"""Two real Tritons share a stream; one of them is killed, and one hangs: nothing is lost, and the stream goes on."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attack.probes import Probes
from tests.attack.spoiled_server import SpoiledServer, spoiled_server
from tests.attack.verdict import right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BATCH = 32
# Commits go on after a fault within this time; the bar is 10 s.
STALL_S = 8


def test_two_tritons_share_the_requests_and_one_is_lost_or_hangs(stack: Stack, tmp_path: Path, samples: Path) -> None:
    images = [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::25]]
    [port] = free_ports(1)
    first, second = tmp_path / "first", tmp_path / "second"
    with spoiled_server(first) as one, spoiled_server(second) as two:
        one.serve()
        two.serve()
        url = f"{one.address},{two.address}"
        with Stream(stack, tmp_path, WATCHWORD_TRITON_URL=url, WATCHWORD_CHUNK_MAX_RECORDS="64") as stream:
            stream.worker(WATCHWORD_HTTP_PORT=str(port), WATCHWORD_BATCH_SIZE="8")
            probes, sender = Probes(port), Sender(stream, images)
            with sender.flowing():
                wait_until(lambda: stream.committed() > 300, 60, "300 images")
                asked = [probes.metric(f'watchword_triton_requests_total{{address="{s.address}"}}') for s in (one, two)]
                assert 0.4 <= asked[0] / sum(asked) <= 0.6
                one.kill()
                assert longest_stall(stream, 9) < STALL_S
                assert probes.metric(f'watchword_triton_up{{address="{one.address}"}}') == 0
                assert probes.ready()
                one.serve_again()
                up = f'watchword_triton_up{{address="{one.address}"}}'
                wait_until(lambda: probes.metric(up) == 1, 30, "the killed server taken back")
                with frozen(two):
                    assert longest_stall(stream, 11) < STALL_S
            stream.wait_until_committed(sender.sent, 60)
            assert right(stream, sender.sent, lambda _: None, "two servers")


def longest_stall(stream: Stream, seconds: float) -> float:
    """Return the longest time without a commit within the next seconds."""
    started = changed = time.monotonic()
    longest, committed = 0.0, stream.committed()
    while time.monotonic() - started < seconds:
        now = stream.committed()
        if now != committed:
            committed, changed = now, time.monotonic()
        longest = max(longest, time.monotonic() - changed)
    return longest


@contextmanager
def frozen(server: SpoiledServer) -> Iterator[None]:
    process = server.part.process.find()
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


class Sender:
    def __init__(self, stream: Stream, images: list[bytes]) -> None:
        self.stream, self.images, self.sent = stream, images, 0

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send at most a few hundred images ahead, in a thread of its own."""
        stopping = threading.Event()

        def flow() -> None:
            while not stopping.wait(0.05):
                if self.sent - self.stream.committed() < 8 * BATCH:
                    numbers = range(self.sent, self.sent + BATCH)
                    self.sent += self.stream.send(
                        self.stream.image(f"p{n}", self.images[n % len(self.images)]) for n in numbers
                    )

        thread = threading.Thread(target=flow, name="sender", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(20)
