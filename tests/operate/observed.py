"""A stream that is watched: worker, exporter of decisions, Triton and Prometheus, with photographs flowing."""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.stack.broken_images import broken_images
from pipeline.stack.worker_process import WorkerProcess
from tests.attack.spoiled_server import SpoiledServer, spoiled_server
from tests.operate.monitoring import Monitoring
from tests.operate.questions import POLICY
from tests.support.archiving import PYTHON
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY, Stack, Stream

# Windows of drift, in seconds: short, so that a drawn run has two and some before.
WINDOW_S = 8
BATCH = 60
# Thirty images a second at most, which leaves the machine to others.
PAUSE_S = 2

# Between the pixels and the embeddings of a served model while the switch exists.
NOISE = ("batch[..., ::-1]", "np.roll(embeds, 3, axis=1)")


@dataclass
class Observed:
    """The parts of a watched stream."""

    DECIDED: ClassVar[int] = 6

    stream: Stream
    worker: WorkerProcess
    server: SpoiledServer
    monitoring: Monitoring
    switch: Path
    policies: Path
    started_s: float
    _images: list[bytes]
    _sent: int = 0

    def flag_ids(self) -> list[str]:
        """Return the ids of the flags of one policy."""
        return [flag["flag_id"] for flag in self.stream.flags() if flag["policy"]["id"] == POLICY]

    def decide(self) -> None:
        """Uphold the first flags of one policy, and overturn one."""
        flags = self.flag_ids()
        with mock.patch.dict(os.environ, self.stream.environment):
            for ruling, chosen in (("upheld", flags[1 : self.DECIDED]), ("overturned", flags[:1])):
                words = [word for flag_id in chosen for word in ("--flag", flag_id)]
                done = CliRunner().invoke(app, ["decisions", "add", ruling, *words])
                assert done.exit_code == 0, done.output

    def send(self, broken: int = 0) -> None:
        """Send a batch of photographs, some of them broken."""
        bad = [each.value for each in broken_images(self._images[0]) if each.name in {"text.png", "truncated.jpg"}]
        values = [self._images[n % len(self._images)] for n in range(self._sent, self._sent + BATCH)]
        values[:broken] = [bad[n % len(bad)] for n in range(broken)]
        self.stream.send(self.stream.image(f"o{self._sent + n}", value) for n, value in enumerate(values))
        self._sent += BATCH

    @contextmanager
    def flowing(self, broken: int = 1) -> Iterator[None]:
        """Keep sending in a thread of its own, at most two batches ahead of the worker."""
        stopping = threading.Event()

        def flow() -> None:
            while not stopping.is_set():
                if self._sent - self.stream.committed() < 2 * BATCH:
                    self.send(broken)
                stopping.wait(PAUSE_S)

        sender = threading.Thread(target=flow, name="sender", daemon=True)
        sender.start()
        try:
            yield
        finally:
            stopping.set()
            sender.join(20)


@contextmanager
def observed(stack: Stack, folder: Path) -> Iterator[Observed]:
    """Watch a stream of its own, with a Triton of its own that can be spoiled."""
    worker_port, decisions_port = free_ports(2)
    paths = sorted((REPOSITORY / "samples/images").rglob("*.jpg"))[::9]
    images = [path.read_bytes() for path in sorted(paths, key=lambda path: path.parent.name != "revolver")]
    policies, switch = _policies(folder / "policies"), folder / "spoiled"
    settings: dict[str, Any] = {
        "WATCHWORD_POLICIES": str(policies),
        "WATCHWORD_HTTP_PORT": str(worker_port),
        "WATCHWORD_DRIFT_WINDOW_S": str(WINDOW_S),
        "WATCHWORD_RETRY_BACKOFF_MAX_S": "0.5",
        "WATCHWORD_ALLOW_DEAD_LETTERS": "true",
        "WATCHWORD_CHUNK_MAX_RECORDS": "32",
    }
    with spoiled_server(folder) as server:
        server.serve_switched(*NOISE, switch)
        with Stream(stack, folder, WATCHWORD_TRITON_URL=server.address, **settings) as stream:
            worker = stream.worker()
            exporter = {**stream.environment, "WATCHWORD_HTTP_PORT": str(decisions_port)}
            watch = WorkerProcess("watch", folder / "watch.log", exporter, (*PYTHON, "decisions", "watch")).start()
            targets = {
                "watchword": [worker_port],
                "watchword-decisions": [decisions_port],
                "triton": [server.metrics_port],
            }
            try:
                with Monitoring(folder / "monitoring", targets) as monitoring:
                    yield Observed(stream, worker, server, monitoring, switch, policies, time.time(), images)
            finally:
                watch.kill()


def _policies(folder: Path) -> Path:
    """Copy the shipped policies, one of them in shadow."""
    shutil.copytree(REPOSITORY / "policies", folder)
    for path in folder.glob("*.yaml"):
        path.write_text(re.sub(r"image: \.\./samples", f"image: {REPOSITORY}/samples", path.read_text()))
    shadow = next(iter(sorted(folder.glob("*exotic_birds*.yaml")) or sorted(folder.glob("[!b]*.yaml"))))
    shadow.write_text(shadow.read_text().replace("mode: enforce", "mode: shadow"))
    return folder
