"""References: what is fetched, what is refused, and that no address leads inside."""

import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.addresses import is_public
from pipeline.ingest.fetch import Fetcher, FetchRules


class Shop(ThreadingHTTPServer):
    """A server on loopback with one good image and many bad habits."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def uri(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["host"]))
        if self.path == "/good":
            self.answer(200, b"image")
        elif self.path == "/large":
            self.answer(200, b"x" * 2000)
        elif self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/to?"))
            self.end_headers()
        elif self.path == "/flaky":
            good = len(self.server.asked) >= 3
            self.answer(200 if good else 503, b"image")
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(uri: str, **rules: object) -> bytes:
    fetcher = Fetcher(FetchRules(**{"allow_loopback": True, "max_bytes": 1000, **rules}), pause=lambda s: None)  # type: ignore[arg-type]
    try:
        return fetcher.fetch(Reference(uri))
    finally:
        fetcher.close()


def refused(uri: str, **rules: object) -> DeadLetterReason:
    with pytest.raises(RecordFault) as caught:
        fetch(uri, **rules)
    return caught.value.reason


def test_an_image_over_http_is_fetched_under_its_own_host_name(shop: Shop) -> None:
    assert fetch(shop.uri("/good")) == b"image"
    assert shop.asked == [("/good", f"127.0.0.1:{shop.server_address[1]}")]


def test_a_failing_server_is_tried_a_bounded_number_of_times(shop: Shop) -> None:
    assert fetch(shop.uri("/flaky")) == b"image"
    assert len(shop.asked) == 3
    shop.asked.clear()
    assert refused(shop.uri("/flaky"), tries=2) is DeadLetterReason.FETCH_FAILED
    assert len(shop.asked) == 2


def test_what_is_not_there_is_asked_for_once(shop: Shop) -> None:
    assert refused(shop.uri("/nothing")) is DeadLetterReason.FETCH_FAILED
    assert len(shop.asked) == 1


def test_a_body_over_the_limit_is_refused(shop: Shop) -> None:
    assert refused(shop.uri("/large")) is DeadLetterReason.TOO_LARGE


def test_loopback_is_refused_unless_a_test_allows_it(shop: Shop) -> None:
    assert refused(shop.uri("/good"), allow_loopback=False) is DeadLetterReason.REFERENCE_FORBIDDEN
    assert not shop.asked


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::ffff:10.0.0.1]/"])
def test_a_redirect_to_an_internal_address_is_refused(shop: Shop, to: str) -> None:
    assert refused(shop.uri(f"/to?{to}")) is DeadLetterReason.REFERENCE_FORBIDDEN


def test_endless_redirects_end(shop: Shop) -> None:
    assert refused(shop.uri("/to?/to?/to?/to?/to?/good"), redirects=3) is DeadLetterReason.FETCH_FAILED


def test_the_address_checked_is_the_address_connected_to(shop: Shop) -> None:
    """A name is resolved once: a second look-up that answers otherwise has no effect."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    rules = FetchRules(allow_loopback=True)
    fetcher = Fetcher(rules, resolve=lambda host, port: next(answers), pause=lambda s: None)
    port = shop.server_address[1]
    assert fetcher.fetch(Reference(f"http://images.example:{port}/good")) == b"image"
    assert shop.asked == [("/good", f"images.example:{port}")]
    fetcher.close()


def test_a_name_with_one_internal_address_among_others_is_refused() -> None:
    fetcher = Fetcher(FetchRules(), resolve=lambda host, port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(RecordFault) as caught:
        fetcher.fetch(Reference("http://images.example/"))
    assert caught.value.reason is DeadLetterReason.REFERENCE_FORBIDDEN
    fetcher.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::93.184.216.34", True),
        ("2002:0a00:0001::1", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_a_file_under_a_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"image")
    assert fetch((tmp_path / "a b.jpg").as_uri(), file_roots=(tmp_path,)) == b"image"


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    outside.write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    assert refused((root / "link").as_uri(), file_roots=(root,)) is DeadLetterReason.REFERENCE_FORBIDDEN
    dots = f"file://{root}/../secret"
    assert refused(dots, file_roots=(root,)) is DeadLetterReason.REFERENCE_FORBIDDEN


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file:///etc/passwd", DeadLetterReason.REFERENCE_FORBIDDEN),
        ("file:///no/such/file", DeadLetterReason.REFERENCE_FORBIDDEN),
        ("file://elsewhere/etc/passwd", DeadLetterReason.BAD_REFERENCE),
        ("ftp://example.com/a.jpg", DeadLetterReason.BAD_REFERENCE),
        ("http://[::1", DeadLetterReason.BAD_REFERENCE),
        ("just words", DeadLetterReason.BAD_REFERENCE),
    ],
)
def test_other_references_are_refused_with_a_reason(uri: str, reason: DeadLetterReason) -> None:
    assert refused(uri) is reason


def test_a_file_that_is_gone_or_too_large_says_so(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 2000)
    assert refused((tmp_path / "gone").as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.FETCH_FAILED
    assert refused((tmp_path / "large").as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.TOO_LARGE
    assert refused(tmp_path.as_uri(), file_roots=(tmp_path,)) is DeadLetterReason.FETCH_FAILED
