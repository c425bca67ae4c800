"""Long proofs of operation: alerts seen live, faults of models on a real Triton, probes without false alarms."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.errors import ProbeFault
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.probes.golden import GoldenFile
from pipeline.probes.guarded import GuardedEncoder
from pipeline.settings import BUNDLED_MODEL
from tests.attack.probes import Probes
from tests.attack.spoiled_server import spoiled_server
from tests.operate.observed import Observed, observed
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

Say = Callable[[str], None]
PAGED_S, RESOLVED_S = 90, 120

# Pixels and embeddings of a served model that has turned wrong, as Python; see `SpoiledServer.serve_switched`.
MODEL_FAULTS = {
    "channels reversed": ("batch[..., ::-1]", "embeds"),
    "a mean off by six": ("np.clip(batch.astype(int) + 6, 0, 255).astype(np.uint8)", "embeds"),
    "cropped for squashed": ("np.repeat(np.repeat(batch[:, 32:96, 32:96], 2, 1), 2, 2)", "embeds"),
    "another filter": ("np.repeat(np.repeat(batch[:, ::2, ::2], 2, 1), 2, 2)", "embeds"),
    "towers swapped": ("np.zeros_like(batch)", "embeds"),
    "a stale engine": ("batch", "(lambda v: v / np.linalg.norm(v, axis=1, keepdims=True))(embeds + 0.05)"),
    "overflow in half precision": ("batch", "(embeds * 1e6).astype(np.float16)"),
    "not a number": ("batch", "np.full_like(embeds, np.nan)"),
    "zeros": ("batch", "np.zeros_like(embeds)"),
    "another model's embeddings": ("batch", "np.roll(embeds, 7, axis=1)"),
    "a neighbour's embedding": ("batch", "np.roll(embeds, 1, axis=0)"),
}
CHUNK, BATCH = 16, 200


def prove_alerts(stack: Stack, folder: Path, say: Say) -> bool:
    """Seven faults are made, one after the other: each pages through Prometheus and Alertmanager, and resolves."""
    with observed(stack, folder) as watched, watched.flowing(broken=0):
        faults: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "WatchwordProbeFailing": (watched.switch.touch, watched.switch.unlink),
            "WatchwordTritonAway": (watched.server.kill, watched.server.serve_again),
            "WatchwordPolicySetRejected": _broken_policy(watched),
            "WatchwordBrokerAway": _frozen_broker(stack),
            "WatchwordNoData": (watched.worker.kill, watched.worker.start),
        }
        held = True
        for alert, fault in faults.items():
            held &= _pages(watched, alert, *fault, say)
    with observed(stack, folder / "letters") as watched:
        with watched.flowing(broken=40):
            held &= _seen(watched, "firing", "WatchwordDeadLetters", say)
        with watched.flowing(broken=0):
            held &= _seen(watched, "resolved", "WatchwordDeadLetters", say)
    return held


def _pages(watched: Observed, alert: str, make: Callable[[], object], end: Callable[[], object], say: Say) -> bool:
    make()
    fired = _seen(watched, "firing", alert, say)
    end()
    return fired & _seen(watched, "resolved", alert, say)


def _seen(watched: Observed, status: str, alert: str, say: Say) -> bool:
    started, pager = time.monotonic(), watched.monitoring.pager
    try:
        pager.wait_for(status, alert, PAGED_S if status == "firing" else RESOLVED_S)
    except TimeoutError:
        say(f"alerts: {alert} not seen {status}: {pager.sent}")
        return False
    say(f"alerts: {alert} {status} after {time.monotonic() - started:.0f} s")
    return True


def _broken_policy(watched: Observed) -> tuple[Callable[[], object], Callable[[], object]]:
    path = next(iter(sorted(watched.policies.glob("weapons*.yaml"))))
    whole = path.read_text()
    return (lambda: path.write_text(whole.replace("threshold", "treshold"))), (lambda: path.write_text(whole))


def _frozen_broker(stack: Stack) -> tuple[Callable[[], object], Callable[[], object]]:
    process = stack.part("kafka").process.find()
    assert process is not None
    return (lambda: os.kill(process.pid, signal.SIGSTOP)), (lambda: os.kill(process.pid, signal.SIGCONT))


def prove_faults(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    """A real Triton turns wrong in the middle of a stream, in eleven ways: fewer than 100 images are judged by it."""
    held = True
    for number, (fault, spoiled) in enumerate(MODEL_FAULTS.items()):
        place = folder / str(number)
        place.mkdir()
        held &= _turns_wrong(stack, place, images, fault, spoiled, say)
    return held


def _turns_wrong(
    stack: Stack, folder: Path, images: list[bytes], fault: str, spoiled: tuple[str, str], say: Say
) -> bool:
    [port] = free_ports(1)
    switch, probes = folder / "wrong", Probes(port)
    with spoiled_server(folder) as server, Stream(stack, folder, WATCHWORD_TRITON_URL=server.address) as stream:
        server.serve_switched(*spoiled, switch)
        stream.worker(WATCHWORD_CHUNK_MAX_RECORDS=str(CHUNK), WATCHWORD_HTTP_PORT=str(port))
        sent = _send(stream, images, 0)
        stream.wait_until_committed(sent)
        switch.touch()
        started = time.monotonic()
        sent += _send(stream, images, sent)
        wait_until(lambda: not probes.ready(), 60, "a worker that is not ready")
        found_s = time.monotonic() - started
        time.sleep(3)  # nothing may be judged meanwhile
        wrong = {line.partition(":")[0] for line in stream.content_audit().wrong}
        switch.unlink()
        stream.wait_until_committed(sent, 120)
        later = {line.partition(":")[0] for line in stream.content_audit().wrong}
    say(
        f"faults: {fault}: {len(wrong)} images judged wrong, found after {found_s:.1f} s, "
        f"{len(later - wrong)} more afterwards"
    )
    return len(wrong) < 100 and later == wrong


def _send(stream: Stream, images: list[bytes], first: int) -> int:
    return stream.send(stream.image(f"f{n}", images[n * 7 % len(images)]) for n in range(first, first + BATCH))


def prove_quiet(images: list[bytes], say: Say, probes: int = 100_000) -> bool:
    """Golden images in random company, a hundred thousand times: no false alarm."""
    bundle = Bundle.load(BUNDLED_MODEL)
    golden = GoldenFile.read(bundle.folder, bundle.digest)
    assert golden is not None
    failures: list[str] = []
    passed = 0

    def count() -> None:
        nonlocal passed
        passed += 1

    def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return decode(data, bundle.pixels, ImageLimits()).pixels

    guarded = GuardedEncoder(LocalEncoder(bundle, threads=2), golden, pixels, Random(1), failures.append, count)
    company = np.stack([pixels(image) for image in images[::20]])
    random = np.random.default_rng(1)
    guarded._expect_golden()
    while passed + len(failures) < probes:
        chosen = company[random.integers(0, len(company), random.integers(1, 4))]
        try:
            guarded.encode_images(chosen)
        except ProbeFault as fault:
            say(f"quiet: {fault}")
        guarded._expect_golden()
    say(f"quiet: {passed:,} golden images in random company, {len(failures)} false alarms")
    return not failures
