"""Two real Tritons share a stream, and one of them is lost; `make prove` has one that hangs, too."""

from pathlib import Path

import pytest

from tests.attack.probes import Probes
from tests.attack.spoiled_server import spoiled_server
from tests.attack.verdict import right
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream

pytestmark = pytest.mark.integration

IMAGES = 240


def test_two_tritons_share_the_requests_and_one_is_lost(stack: Stack, tmp_path: Path, samples: Path) -> None:
    images = [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::25]]
    [port] = free_ports(1)
    with spoiled_server(tmp_path / "first") as one, spoiled_server(tmp_path / "second") as two:
        one.serve()
        two.serve()
        with Stream(stack, tmp_path, WATCHWORD_TRITON_URL=f"{one.address},{two.address}") as stream:
            stream.worker(WATCHWORD_HTTP_PORT=str(port), WATCHWORD_BATCH_SIZE="4", WATCHWORD_CHUNK_MAX_RECORDS="32")
            probes, sent = Probes(port), send(stream, images, 0)
            stream.wait_until_committed(sent)
            asked = [probes.metric(f'watchword_triton_requests_total{{address="{s.address}"}}') for s in (one, two)]
            assert 0.4 <= asked[0] / sum(asked) <= 0.6
            one.kill()
            sent += send(stream, images, sent)
            stream.wait_until_committed(sent, 30)
            assert probes.ready()
            assert probes.metric(f'watchword_triton_up{{address="{one.address}"}}') == 0
            assert right(stream, sent, lambda _: None, "two servers")


def send(stream: Stream, images: list[bytes], first: int) -> int:
    return stream.send(stream.image(f"p{n}", images[n % len(images)]) for n in range(first, first + IMAGES))
