"""Model answers that must be refused: from another model, empty, noise, incomplete, or in another worker's memory."""

import signal
import threading
from pathlib import Path
from typing import Any

from tests.attack.probes import Probes, holds_for
from tests.attack.spoiled_server import SPOILS, spoiled_server
from tests.attack.verdict import Say, right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

BATCH = 60
QUICK = ("another model in its place",)


def attack_answers(stack: Stack, folder: Path, images: list[bytes], say: Say, *, quick: bool = False) -> bool:
    """The worker waits while a server that came back gives bad answers, over both transports, and judges no image."""
    held = True
    for shared in ("off",) if quick else ("on", "off"):
        place = folder / shared
        place.mkdir(parents=True)
        held &= _spoiled(stack, place, images, say, shared, QUICK if quick else tuple(SPOILS))
    return held


def _spoiled(stack: Stack, folder: Path, images: list[bytes], say: Say, shared: str, spoils: tuple[str, ...]) -> bool:
    [port] = free_ports(1)
    environment: dict[str, Any] = {"WATCHWORD_TRITON_SHARED_MEMORY": shared, "WATCHWORD_HTTP_PORT": str(port)}
    held = True
    with spoiled_server(folder) as server, Stream(stack, folder, WATCHWORD_TRITON_URL=server.address) as stream:
        server.serve()
        stream.worker(**environment)
        sent = _send(stream, images, 0)
        stream.wait_until_committed(sent)
        for spoil in spoils:
            server.serve(spoil)
            before = stream.committed()
            sent += _send(stream, images, sent)
            waited = holds_for(lambda at=before: stream.committed() == at, 6)  # type: ignore[misc]
            probes = Probes(port)
            unready = not probes.ready() and probes.checks()["model"] is False
            say(
                f"answers, shared memory {shared}, {spoil}: {'waits' if waited else 'COMMITS'}, "
                f"{'unready' if unready else 'READY'}: {probes.checks().get('model_problem', '')[:90]}"
            )
            held &= waited and unready
        server.serve()
        stream.wait_until_committed(sent, 120)
        held &= right(stream, sent, say, f"answers, shared memory {shared}")
    return held


def attack_same_id(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    """Two workers with one id, in one group and in two, one of them killed: neither reads the other's shared memory."""
    return _one_group(stack, folder, images, say) & _two_groups(stack, folder, images, say)


def _one_group(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    with Stream(stack, folder) as stream:
        first = stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-same")
        sent = _send(stream, images, 0)
        wait_until(lambda: stream.committed() > 0, 60, "the first commit")
        second = stream.worker(WATCHWORD_INSTANCE_ID=f"{stream.name}-same")
        for _ in range(6):
            sent += _send(stream, images, sent)
            threading.Event().wait(1)
        second.kill()
        for _ in range(4):
            sent += _send(stream, images, sent)
        if not first.running():
            first.start()
        stream.wait_until_committed(sent, 120)
        return right(stream, sent, say, "same id, one group")


def _two_groups(stack: Stack, folder: Path, images: list[bytes], say: Say) -> bool:
    name = folder.name
    with Stream(stack, folder) as ours, Stream(stack, folder) as other:
        ours.worker(WATCHWORD_INSTANCE_ID=f"{name}-shared")
        sent = _send(ours, images, 0)
        ours.wait_until_committed(sent)
        worker = other.worker(WATCHWORD_INSTANCE_ID=f"{name}-shared")
        others = _send(other, images[::-1], 0)
        other.wait_until_committed(others)
        sent += _send(ours, images, sent)
        ours.wait_until_committed(sent)
        worker.signal(signal.SIGKILL)
        sent += _send(ours, images, sent)
        ours.wait_until_committed(sent)
        return right(ours, sent, say, "same id, two groups") & right(other, others, say, "same id, the other group")


def _send(stream: Stream, images: list[bytes], first: int) -> int:
    return stream.send(stream.image(f"a{n}", images[n % len(images)]) for n in range(first, first + BATCH))
