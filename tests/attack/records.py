"""Records made to stop a stream: one of each kind, and a hundred thousand at random, through one worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kafka import KafkaProducer

from pipeline.events.records import Headers
from tests.attack.poison import fuzzed, picture, poison
from tests.attack.verdict import Say, right
from tests.support.stream import Stack, Stream

FUZZED, FUZZED_QUICK = 100_000, 1_000
WHOLE_BYTES = 64 << 20
# Outcomes of a run this long are compared with a scan in parts, so that a proof holds no gigabyte.
SETTINGS = {
    "WATCHWORD_ALLOW_DEAD_LETTERS": "true",
    "WATCHWORD_FETCH_ALLOW_LOOPBACK": "true",
    "WATCHWORD_FETCH_TIMEOUT_S": "2",
    "WATCHWORD_FILE_ROOTS": '["/tmp"]',
    "WATCHWORD_LOG_LEVEL": "error",
}


def attack_records(stack: Stack, folder: Path, images: list[bytes], say: Say, *, quick: bool = False) -> bool:
    """Every record gets a verdict or a dead letter, the worker never exits on its own, and good images are judged."""
    with _hostile_answers() as server, Stream(stack, folder, partitions=1, **SETTINGS) as stream:
        kinds = poison(server)
        # A good record on both sides of each: what comes after must be judged, and judged right.
        given = [each for value, headers in kinds.values() for each in ((images[0], ()), (value, headers))]
        given += [(images[1], ()), *fuzzed(7, FUZZED_QUICK if quick else FUZZED, _seeds())]
        sent = _send(stream, given)
        worker = stream.worker()
        stream.wait_until_committed(sent, 120 if quick else 1500)
        say(f"records: {len(kinds)} kinds, {sent} records, worker {'alive' if worker.running() else 'ENDED'}")
        letters = len(stream.dead_letters())
        say(f"records: {letters} dead letters")
        return worker.running() & right(stream, sent, say, "records", shared_ids=True)


def _seeds() -> list[bytes]:
    return [picture(mode, side, kind, side) for mode in ("RGB", "L") for side in (8, 16) for kind in _KINDS]


_KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


def _send(stream: Stream, given: list[tuple[bytes | None, Headers]]) -> int:
    """Store records as a careless producer would: compressed, and of any size that the broker accepts."""
    producer = KafkaProducer(
        bootstrap_servers=stream.stack.bootstrap_servers,
        max_request_size=WHOLE_BYTES,
        compression_type="gzip",
        metrics_enabled=False,
    )
    topic = stream.settings.topic_images
    futures = [producer.send(topic, value, b"k", list(headers), partition=0) for value, headers in given]
    producer.flush(timeout=300)
    sent = sum(bool(future.succeeded()) for future in futures)
    producer.close()
    return sent


class _Answers(BaseHTTPRequestHandler):
    """A server whose answers are never images."""

    def do_GET(self) -> None:
        answers = {
            "/bad-gzip": (200, {"content-encoding": "gzip"}, b"no gzip"),
            "/encoding": (200, {"content-encoding": "zstd, br"}, b"\x28\xb5\x2f\xfd"),
            "/loop": (302, {"location": "/loop"}, b""),
            "/inside": (302, {"location": "http://169.254.169.254/"}, b""),
            "/empty": (200, {}, b""),
            "/chunks": (200, {"transfer-encoding": "chunked"}, b"zz\r\n"),
            "/status": (204, {}, b""),
        }
        status, headers, body = answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "transfer-encoding" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _hostile_answers() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
