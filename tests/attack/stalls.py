"""Ten ways for a stream to stall: readiness reports each stall, and its end."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.broker.lag import lag_of
from pipeline.broker.topics import delete_topics, ensure_topics
from pipeline.broker.topology import topics_of
from pipeline.stack.local import up
from tests.attack.probes import Probes
from tests.attack.proxy import Proxy, proxied
from tests.attack.spoiled_server import SpoiledServer, spoiled_server
from tests.attack.verdict import Say, right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

LIMIT_S = 15.0
LOT = 40
POLL_S = 3.0
QUICK = ("output topic missing", "broker frozen, idle")


@dataclass
class Scene:
    """A worker at work, and everything around it that can be made to stand still."""

    stack: Stack
    stream: Stream
    server: SpoiledServer
    probes: Probes
    proxy: Proxy
    worker: psutil.Process

    def broker(self) -> psutil.Process:
        process = self.stack.part("kafka").process.find()
        assert process is not None
        return process

    def triton(self) -> list[psutil.Process]:
        process = self.server.part.process.find()
        assert process is not None
        return [process, *process.children(recursive=True)]


Stall = Callable[[Scene], AbstractContextManager[None]]


@contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@contextmanager
def _broker_frozen(scene: Scene) -> Iterator[None]:
    with frozen([scene.broker()]):
        yield


@contextmanager
def _broker_dead(scene: Scene) -> Iterator[None]:
    scene.broker().kill()
    try:
        yield
    finally:
        up([scene.stack.part("kafka")], lambda _: None, 60)


@contextmanager
def _uplink_held(scene: Scene) -> Iterator[None]:
    with scene.proxy.held():
        yield


@contextmanager
def _triton_frozen(scene: Scene) -> Iterator[None]:
    with frozen(scene.triton()):
        yield


@contextmanager
def _triton_dead(scene: Scene) -> Iterator[None]:
    scene.server.kill()
    try:
        yield
    finally:
        scene.server.serve()


def _spoiled(spoil: str) -> Stall:
    @contextmanager
    def stall(scene: Scene) -> Iterator[None]:
        scene.server.serve(spoil)
        try:
            yield
        finally:
            scene.server.serve()

    return stall


def _missing(kind: str) -> Stall:
    @contextmanager
    def stall(scene: Scene) -> Iterator[None]:
        settings = scene.stream.settings
        delete_topics(scene.stream.connection, [getattr(settings, f"topic_{kind}")])
        try:
            yield
        finally:
            wait_until(lambda: ensure_topics(scene.stream.connection, topics_of(settings)), 30, "the topic again", 0.5)

    return stall


@contextmanager
def _decoders_frozen(scene: Scene) -> Iterator[None]:
    with frozen(scene.worker.children()):
        yield


# By name: how it is staged, and whether records are sent while it lasts.
STALLS: dict[str, tuple[Stall, bool]] = {
    # The first: what was in the topic goes with it.
    "output topic missing": (_missing("flags"), False),
    "broker frozen, idle": (_broker_frozen, False),
    "broker frozen, busy": (_broker_frozen, True),
    "broker dead": (_broker_dead, False),
    "uplink held": (_uplink_held, True),
    "triton frozen, idle": (_triton_frozen, False),
    "triton dead, busy": (_triton_dead, True),
    "answers not a number": (_spoiled("not a number"), True),
    "another model, idle": (_spoiled("another model"), False),
    "decode processes frozen": (_decoders_frozen, True),
}


def attack_stalls(stack: Stack, folder: Path, images: list[bytes], say: Say, *, quick: bool = False) -> bool:
    """Unready within 15 s of each stall, ready within 15 s of its end, lag true, and every record judged right."""
    [port] = free_ports(1)
    with (
        spoiled_server(folder) as server,
        proxied(stack) as proxy,
        Stream(stack, folder, WATCHWORD_TRITON_URL=server.address) as stream,
    ):
        server.serve()
        worker = stream.worker(proxy.command, WATCHWORD_HTTP_PORT=str(port), **proxy.environment)
        scene = Scene(stack, stream, server, Probes(port), proxy, psutil.Process(worker.pid))
        sent, held = 0, True
        for name in QUICK if quick else STALLS:
            sent, right_in_time = _stage(scene, name, images, sent, say)
            held &= right_in_time
            sent += _send(stream, images, sent)
            stream.wait_until_committed(sent)
        return held and worker.running() and right(stream, sent, say, "stalls")


def _stage(scene: Scene, name: str, images: list[bytes], sent: int, say: Say) -> tuple[int, bool]:
    stall, busy = STALLS[name]
    scene.probes.wait_ready(wanted=True, timeout_s=60)
    try:
        with stall(scene):
            if busy and "broker" not in name:
                sent += _send(scene.stream, images, sent)
            seen_s = scene.probes.wait_ready(wanted=False, timeout_s=60)
            lag = _lag_is_true(scene) if busy and "broker" not in name and "uplink" not in name else True
        mended_s = scene.probes.wait_ready(wanted=True, timeout_s=90)
    except TimeoutError as late:
        say(f"stalls: {name}: {late}")
        return sent, False
    if name == "broker frozen, busy":
        sent += _send(scene.stream, images, sent)
    scene.stream.wait_until_committed(sent, 120)
    told = "true" if lag else "FALSE"
    say(f"stalls: {name}: unready after {seen_s:.1f} s, ready {mended_s:.1f} s after it, lag {told}")
    return sent, seen_s <= LIMIT_S and mended_s <= LIMIT_S and lag


def _lag_is_true(scene: Scene) -> bool:
    """Tell whether the lag gauge equals the broker's figure within one polling interval."""
    settings, deadline = scene.stream.settings, time.monotonic() + POLL_S

    def true() -> bool:
        found = lag_of(scene.stream.connection, settings.group_id, settings.topic_images)
        return scene.probes.lag() == sum(each.records for each in found)

    while not true():
        if time.monotonic() > deadline:
            return False
    return True


def _send(stream: Stream, images: list[bytes], first: int) -> int:
    return stream.send(stream.image(f"s{n}", images[n % len(images)]) for n in range(first, first + LOT))
