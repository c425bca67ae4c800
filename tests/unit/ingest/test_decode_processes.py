"""Decoding in child processes: the same pixels as in this process; an image can crash at most one child."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.errors import DeadLetterReason, DecoderFault, RecordFault
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import decode_here
from pipeline.ingest.decode_processes import DecodeProcesses
from tests.attack.image_corpus_parts import encoded, noise

SPEC = PixelSpec(96, "squash")
LIMITS = ImageLimits()
SIDE = 64


@pytest.fixture
def processes() -> Iterator[DecodeProcesses]:
    pool = DecodeProcesses(2, SPEC, LIMITS, thumbnail_side=SIDE)
    yield pool
    pool.close()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_child_returns_the_same_pixels_as_this_process(kind: str, processes: DecodeProcesses) -> None:
    data = encoded(noise(300, 200), kind)
    theirs, ours = processes.decode(data), decode_here(data, SPEC, LIMITS, SIDE)
    np.testing.assert_array_equal(theirs.picture.pixels, ours.picture.pixels)
    assert theirs.thumbnail == ours.thumbnail
    assert (theirs.picture.format, theirs.picture.width, theirs.picture.height) == (kind.lower(), 300, 200)


def test_a_fault_keeps_its_reason_and_detail(processes: DecodeProcesses) -> None:
    for data in (b"", b"text", bytes(11 << 20), encoded(noise(300, 200), "JPEG")[:900]):
        with pytest.raises(RecordFault) as theirs:
            processes.decode(data)
        with pytest.raises(RecordFault) as ours:
            decode_here(data, SPEC, LIMITS)
        assert (theirs.value.reason, theirs.value.detail) == (ours.value.reason, ours.value.detail)


def test_an_image_that_takes_too_much_cpu_ends_its_child_alone() -> None:
    pool = DecodeProcesses(1, SPEC, ImageLimits(max_cpu_s=0.1))
    slow = encoded(Image.new("RGBA", (6_000, 6_000)), "PNG", compress_level=1)
    small = encoded(noise(30, 20), "PNG")
    try:
        pool.decode(small)
        before = pool.pids()
        with pytest.raises(RecordFault) as caught:
            pool.decode(slow)
        assert caught.value.reason is DeadLetterReason.TOO_COSTLY
        assert caught.value.detail == "decoding took more than 0.1 s of CPU"
        assert pool.decode(small).picture.width == 30
        assert pool.pids() != before
    finally:
        pool.close()


def test_an_image_that_takes_too_much_memory_is_refused_and_the_child_lives() -> None:
    pool = DecodeProcesses(1, SPEC, ImageLimits(max_memory_bytes=32 << 20))
    try:
        with pytest.raises(RecordFault) as caught:
            pool.decode(encoded(Image.new("RGB", (3_000, 3_000)), "PNG"))
        assert caught.value.reason is DeadLetterReason.TOO_COSTLY
        [child] = pool.pids()
        pool.decode(encoded(noise(30, 20), "PNG"))
        assert pool.pids() == (child,)
    finally:
        pool.close()


def test_a_child_that_was_killed_while_idle_costs_no_image(processes: DecodeProcesses) -> None:
    data = encoded(noise(30, 20), "PNG")
    processes.decode(data)
    [child] = processes.pids()
    os.kill(child, signal.SIGKILL)
    assert processes.decode(data).picture.width == 30
    assert processes.pids() != (child,)


def test_no_setting_of_the_worker_reaches_a_child(processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that takes over a child finds no passwords in it."""
    monkeypatch.setenv("WATCHWORD_KAFKA_PASSWORD", "secret")
    processes.decode(encoded(noise(30, 20), "PNG"))
    [child] = processes.pids()
    assert "secret" not in psutil.Process(child).environ().values()


def test_a_second_crash_is_a_fault_of_the_image(processes: DecodeProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DecodeProcesses, "_start", _start_and_crash(DecodeProcesses._start))
    with pytest.raises(RecordFault) as caught:
        processes.decode(encoded(noise(30, 20), "PNG"))
    assert caught.value.reason is DeadLetterReason.CORRUPT_IMAGE
    assert caught.value.detail == "its decode process ended twice with SIGSEGV"


def _start_and_crash(start: Callable[[DecodeProcesses], Any]) -> Callable[[DecodeProcesses], Any]:
    def crashed(pool: DecodeProcesses) -> Any:
        child = start(pool)
        os.kill(child.process.pid, signal.SIGSEGV)
        return child

    return crashed


def test_signals_of_a_supervisor_do_not_end_a_child(processes: DecodeProcesses) -> None:
    """The worker needs its children until it has drained."""
    data = encoded(noise(30, 20), "PNG")
    processes.decode(data)
    [child] = processes.pids()
    for each in (signal.SIGTERM, signal.SIGINT):
        os.kill(child, each)
    processes.decode(data)
    assert processes.pids() == (child,)


def test_several_threads_share_the_children(processes: DecodeProcesses) -> None:
    images = [encoded(noise(40 + i, 30), "PNG") for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        widths = [decoded.picture.width for decoded in threads.map(processes.decode, images)]
    assert widths == [40 + i for i in range(40)]
    assert len(processes.pids()) <= 2


def test_closing_ends_the_children_and_may_be_repeated() -> None:
    pool = DecodeProcesses(1, SPEC, LIMITS)
    pool.decode(encoded(noise(30, 20), "PNG"))
    [child] = pool.pids()
    pool.close()
    pool.close()
    assert not psutil.pid_exists(child)
    with pytest.raises(DecoderFault, match="closed"):
        pool.decode(encoded(noise(30, 20), "PNG"))


def test_closing_wakes_threads_that_decode_or_wait() -> None:
    pool = DecodeProcesses(1, SPEC, ImageLimits(max_cpu_s=60))
    slow = encoded(Image.new("RGBA", (6_800, 6_800)), "PNG", compress_level=1)
    started = threading.Barrier(4)
    outcomes: list[str] = []

    def work() -> None:
        started.wait()
        try:
            while True:
                pool.decode(slow)
        except DecoderFault as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    pool.close()
    for thread in threads:
        thread.join(30)
    assert outcomes == ["`DecodeProcesses` is closed"] * 3


def test_children_end_when_their_parent_is_killed() -> None:
    program = (
        "import sys; from pipeline.events.images import ImageLimits, PixelSpec\n"
        "from pipeline.ingest.decode_processes import DecodeProcesses\n"
        "pool = DecodeProcesses(1, PixelSpec(96, 'squash'), ImageLimits()); pool.decode(sys.stdin.buffer.read())\n"
        "print(*pool.pids(), flush=True); import time; time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, cwd=root)
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        parent.stdin.write(encoded(noise(30, 20), "PNG"))
        parent.stdin.close()
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        child.wait(20)
