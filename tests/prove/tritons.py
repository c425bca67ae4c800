"""Proof that two Tritons share a stream, and that one may be killed or hang."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attack.probes import Probes
from tests.attack.spoiled_server import SpoiledServer, spoiled_server
from tests.attack.verdict import right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

BATCH = 32
MOST_STALLED_S = 10


def prove_tritons(stack: Stack, folder: Path, images: list[bytes], say: Callable[[str], None]) -> bool:
    """Each is asked 40 to 60 % of the requests; one is killed and comes back, the other hangs: nothing is lost."""
    [port] = free_ports(1)
    with spoiled_server(folder / "first") as one, spoiled_server(folder / "second") as two:
        one.serve()
        two.serve()
        url = f"{one.address},{two.address}"
        with Stream(stack, folder, WATCHWORD_TRITON_URL=url, WATCHWORD_CHUNK_MAX_RECORDS="64") as stream:
            stream.worker(WATCHWORD_HTTP_PORT=str(port), WATCHWORD_BATCH_SIZE="8")
            probes, sender = Probes(port), Sender(stream, images)
            with sender.flowing():
                wait_until(lambda: stream.committed() > 1000, 60, "1000 images")
                asked = [probes.metric(f'watchword_triton_requests_total{{address="{s.address}"}}') for s in (one, two)]
                one.kill()
                killed_s = longest_stall(stream, 15)
                one.serve_again()
                up = f'watchword_triton_up{{address="{one.address}"}}'
                wait_until(lambda: probes.metric(up) == 1, 30, "the killed server taken back")
                with frozen(two):
                    frozen_s = longest_stall(stream, 20)
            stream.wait_until_committed(sender.sent, 120)
            whole = right(stream, sender.sent, say, "tritons")
    share = asked[0] / sum(asked)
    say(f"tritons: {share:.0%} of the requests to one; longest time without a commit after a kill {killed_s:.1f} s,")
    say(f"tritons: and while the other hangs {frozen_s:.1f} s")
    return whole and 0.4 <= share <= 0.6 and max(killed_s, frozen_s) < MOST_STALLED_S


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
