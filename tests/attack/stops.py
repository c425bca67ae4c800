"""SIGTERM at any moment, and a whole group restarted one by one in the middle of its work."""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pipeline.stack.worker_process import WorkerProcess
from tests.attack.proxy import proxied
from tests.attack.spoiled_server import spoiled_server
from tests.attack.verdict import Say, right
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

DRAIN_S = 8.0
GRACE_S = 2.0
MOMENTS_S = (0.15, 0.3, 0.5, 0.7, 0.9, 1.2, 1.5, 1.8, 2.2, 2.6, 3.0, 3.5, 4.0, 5.0, 6.0)
LOT = 25


def attack_stops(stack: Stack, folder: Path, images: list[bytes], say: Say, *, quick: bool = False) -> bool:
    """SIGTERM in every phase ends a worker within its drain deadline with exit code 0, and loses nothing."""
    held = True
    with Stream(stack, folder, WATCHWORD_DRAIN_TIMEOUT_S=str(DRAIN_S), WATCHWORD_CHUNK_MAX_RECORDS="16") as stream:
        sent = 0
        for moment_s in MOMENTS_S[1::6] if quick else MOMENTS_S:
            sent += _send(stream, images, sent)
            worker = stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-w")
            time.sleep(moment_s)  # the moment itself is what is tried
            held &= _ends(worker, say, f"after {moment_s} s")
        stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-w")
        stream.wait_until_committed(sent, 120)
        held &= right(stream, sent, say, "stops")
    if not quick:
        held &= _hanging(stack, folder, images, say)
    return held


def _hanging(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    """SIGTERM while what the worker waits for hangs: at the start, in an encode, in a commit, in a poll."""
    held = True
    nowhere: dict[str, Any] = {"WATCHWORD_DRAIN_TIMEOUT_S": str(DRAIN_S)}
    for name, setting in (("broker", "WATCHWORD_BOOTSTRAP_SERVERS"), ("triton", "WATCHWORD_TRITON_URL")):
        with Stream(stack, folder, **nowhere) as stream:
            unanswered: dict[str, Any] = {setting: "127.0.0.1:9"}
            worker = stream.worker(**unanswered)
            wait_until(lambda w=worker: "dependency_awaited" in w.tail(50), 60, "a wait")  # type: ignore[misc]
            held &= _ends(worker, say, f"while it waits for {name} at its start")
    with (
        spoiled_server(folder) as server,
        Stream(stack, folder, WATCHWORD_TRITON_URL=server.address, **nowhere) as stream,
    ):
        server.serve()
        worker = stream.worker()
        sent = _send(stream, images, 0)
        stream.wait_until_committed(sent)
        process = server.part.process.find()
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        _send(stream, images, sent)
        time.sleep(2)  # into the request
        held &= _ends(worker, say, "while triton hangs")
        process.send_signal(signal.SIGCONT)
    with proxied(stack) as proxy, Stream(stack, folder, **nowhere) as stream:
        worker = stream.worker(proxy.command, **proxy.environment)
        sent = _send(stream, images, 0)
        stream.wait_until_committed(sent)
        with proxy.held():
            time.sleep(3)  # into a poll that is not answered
            held &= _ends(worker, say, "while the broker hangs")
    return held


def attack_restarts(stack: Stack, folder: Path, images: list[bytes], say: Say, *, rounds: int = 3) -> bool:
    """Three workers stopped in the middle of work and started again, one after the other."""
    chance = random.Random(11)
    with Stream(stack, folder, WATCHWORD_CHUNK_MAX_RECORDS="16") as stream:
        workers = [stream.worker() for _ in range(3)]
        sent, in_flight, held = 0, 0, True
        for worker in workers * rounds:
            done = stream.committed()
            sent += sum(_send(stream, images, sent + n * LOT) for n in range(4))
            wait_until(lambda at=done: stream.committed() > at, 90, "work")  # type: ignore[misc]
            time.sleep(chance.random())  # another moment each time
            in_flight += stream.committed() < sent
            held &= _ends(worker, say, "in a rolling restart", drain_s=20.0)
            worker.start()
        stream.wait_until_committed(sent, 180)
        say(f"restarts: {in_flight} of {len(workers) * rounds} stops were in the middle of work")
        return held & right(stream, sent, say, "restarts")


def attack_uplink(stack: Stack, folder: Path, images: list[bytes], say: Say, *, records: int = 16) -> bool:
    """Dead letters of 10 MiB over an uplink of 1.5 MB/s: the chunk is halved until one passes."""
    garbage = random.Random(3).randbytes(10 << 20)
    with proxied(stack) as proxy, Stream(stack, folder, WATCHWORD_ALLOW_DEAD_LETTERS="true") as stream:
        sent = stream.send(stream.image(f"u{n}", garbage) for n in range(records))
        proxy.uplink_bytes_s = 1.5e6
        stream.worker(proxy.command, **proxy.environment)
        stream.wait_until_committed(sent, 30.0 * records)
        proxy.uplink_bytes_s = None
        return right(stream, sent, say, "uplink")


def _ends(worker: WorkerProcess, say: Say, moment: str, *, drain_s: float = DRAIN_S) -> bool:
    started = time.monotonic()
    worker.signal(signal.SIGTERM)
    try:
        code = worker.wait(drain_s + GRACE_S)
    except subprocess.TimeoutExpired:
        say(f"stops: {moment}: STILL THERE after {drain_s + GRACE_S} s")
        worker.kill()
        return False
    say(f"stops: {moment}: exit code {code} after {time.monotonic() - started:.1f} s")
    return bool(code == 0)


def _send(stream: Stream, images: list[bytes], first: int) -> int:
    return stream.send(stream.image(f"t{n}", images[n % len(images)]) for n in range(first, first + LOT))
