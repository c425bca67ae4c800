"""Golden probes on the real Triton: a model that turns wrong in the middle of a stream is found, waited for, left."""

from pathlib import Path

import pytest

from tests.attack.probes import Probes
from tests.attack.spoiled_server import spoiled_server
from tests.support.ports import free_ports
from tests.support.stream import Stack, Stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

# A chunk is a request, and the embeddings of a chunk that was encoded wrong are dropped.
CHUNK, BATCH = 16, 160

CHANNELS_REVERSED = ("batch[..., ::-1]", "embeds")


def send(stream: Stream, images: list[bytes], sent: int) -> int:
    return sent + stream.send(stream.image(f"p{n}", images[n % len(images)]) for n in range(sent, sent + BATCH))


def wrong_images(stream: Stream) -> set[str]:
    return {line.partition(":")[0] for line in stream.content_audit().wrong}


def test_a_model_that_turns_wrong_is_found_before_a_hundred_images_are_judged(
    stack: Stack, tmp_path: Path, samples: Path
) -> None:
    """The server neither restarts nor says anything; the worker waits, pages, and goes on by itself afterwards."""
    images = [path.read_bytes() for path in sorted((samples / "images").rglob("*.jpg"))[::25]]
    [port] = free_ports(1)
    switch, probes = tmp_path / "wrong", Probes(port)
    with spoiled_server(tmp_path) as server, Stream(stack, tmp_path, WATCHWORD_TRITON_URL=server.address) as stream:
        server.serve_switched(*CHANNELS_REVERSED, switch)
        stream.worker(WATCHWORD_CHUNK_MAX_RECORDS=str(CHUNK), WATCHWORD_HTTP_PORT=str(port))
        sent = send(stream, images, 0)
        stream.wait_until_committed(sent)
        assert probes.metric("watchword_probe_up") == 1
        switch.touch()
        before, sent = stream.committed(), send(stream, images, sent)
        wait_until(lambda: probes.metric("watchword_probe_up") == 0, 30, "a failing probe")
        assert probes.checks()["probes"] is False
        assert stream.committed() - before < 100
        wrong = wrong_images(stream)
        assert len(wrong) < 100
        switch.unlink()
        stream.wait_until_committed(sent, 60)
        assert probes.metric("watchword_probe_up") == 1
        assert wrong_images(stream) == wrong, "nothing is judged by embeddings from before"
