"""References: fetched or refused; no address reaches an internal host."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.fetch import Fetcher, FetchRules


class Shop(ThreadingHTTPServer):
    """A server on loopback with one good image and many faults."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.heads: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def uri(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["host"]))
        self.server.heads.append({name.lower(): value for name, value in self.headers.items()})
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
        elif self.path.startswith("/coding?"):
            self.answer(200, b"image", ("content-encoding", self.path.removeprefix("/coding?")))
        elif self.path == "/cookie":
            self.answer(200, b"image", ("set-cookie", "a=b; path=/"))
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for field in fields:
            self.send_header(*field)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def unknown(host: str, port: int) -> list[str]:
    raise OSError("no such name")


def fetch(uri: str, **rules: object) -> bytes:
    allowed = FetchRules(**{"allow_loopback": True, "max_bytes": 1000, **rules})  # type: ignore[arg-type]
    fetcher = Fetcher(allowed, pause=lambda s: None, resolve=unknown, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    try:
        return fetcher.fetch(Reference(uri))
    finally:
        fetcher.close()


def faulted(uri: str, **rules: object) -> RecordFault:
    with pytest.raises(RecordFault) as caught:
        fetch(uri, **rules)
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) <= 1000
    return caught.value


def refused(uri: str, **rules: object) -> DeadLetterReason:
    return faulted(uri, **rules).reason


def test_an_image_over_http_is_fetched_under_its_own_host_name(shop: Shop) -> None:
    assert fetch(shop.uri("/good")) == b"image"
    assert shop.asked == [("/good", f"127.0.0.1:{shop.server_address[1]}")]


def test_a_failing_server_is_tried_a_bounded_number_of_times(shop: Shop) -> None:
    assert fetch(shop.uri("/flaky")) == b"image"
    assert len(shop.asked) == 3
    shop.asked.clear()
    assert refused(shop.uri("/flaky"), tries=2) is DeadLetterReason.FETCH_FAILED
    assert len(shop.asked) == 2


def test_a_missing_image_is_requested_once(shop: Shop) -> None:
    assert refused(shop.uri("/nothing")) is DeadLetterReason.FETCH_FAILED
    assert len(shop.asked) == 1


def test_a_body_over_the_limit_is_refused(shop: Shop) -> None:
    assert refused(shop.uri("/large")) is DeadLetterReason.TOO_LARGE


def test_loopback_is_refused_unless_allowed(shop: Shop) -> None:
    assert refused(shop.uri("/good"), allow_loopback=False) is DeadLetterReason.REFERENCE_FORBIDDEN
    assert not shop.asked


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://[::ffff:10.0.0.1]/"])
def test_a_redirect_to_an_internal_address_is_refused(shop: Shop, to: str) -> None:
    assert refused(shop.uri(f"/to?{to}")) is DeadLetterReason.REFERENCE_FORBIDDEN


def test_endless_redirects_end(shop: Shop) -> None:
    assert refused(shop.uri("/to?/to?/to?/to?/to?/good"), redirects=3) is DeadLetterReason.FETCH_FAILED


def test_the_address_checked_is_the_address_connected_to(shop: Shop) -> None:
    """A name is resolved once, so a different answer to a second look-up has no effect."""
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


@pytest.mark.parametrize("coding", ["gzip", "br", "identity,gzip", "x-unknown"])
def test_a_body_that_is_encoded_is_refused_undecoded(shop: Shop, coding: str) -> None:
    fault = faulted(shop.uri(f"/coding?{coding}"))
    assert fault.reason is DeadLetterReason.FETCH_FAILED
    assert "encoded" in fault.detail
    assert len(shop.asked) == 1


@pytest.mark.parametrize("coding", ["identity", "", "Identity"])
def test_a_body_with_identity_encoding_is_accepted(shop: Shop, coding: str) -> None:
    assert fetch(shop.uri(f"/coding?{coding}")) == b"image"
    assert shop.heads[0]["accept-encoding"] == "identity"


def test_cookies_are_neither_kept_nor_sent(shop: Shop) -> None:
    with closing(Fetcher(FetchRules(allow_loopback=True))) as fetcher:
        for _ in range(2):
            fetcher.fetch(Reference(shop.uri("/cookie")))
    assert "cookie" not in shop.heads[1]


def test_credentials_go_to_their_host_and_appear_in_no_detail(shop: Shop) -> None:
    mine = shop.uri("").replace("//", "//ann:sec%72et@")
    assert fetch(f"{mine}/to?/good") == b"image"
    assert [head.get("authorization") for head in shop.heads] == ["Basic YW5uOnNlY3JldA=="] * 2
    detail = faulted(f"{mine}/nothing?token=secret#secret").detail
    assert "secret" not in detail
    assert "sec%72et" not in detail
    assert f"{shop.uri('/nothing')}`" in detail


def test_credentials_do_not_follow_a_redirect_to_another_host(shop: Shop) -> None:
    there = f"http://there.example:{shop.server_address[1]}/good"
    here = f"http://ann:secret@here.example:{shop.server_address[1]}/to?{there}"
    with closing(Fetcher(FetchRules(allow_loopback=True), resolve=lambda host, port: ["127.0.0.1"])) as fetcher:
        assert fetcher.fetch(Reference(here)) == b"image"
    assert ["authorization" in head for head in shop.heads] == [True, False]


def test_a_port_that_is_not_allowed_is_refused_and_the_setting_named() -> None:
    fetcher = Fetcher(FetchRules(), resolve=lambda host, port: ["93.184.216.34"])
    with pytest.raises(RecordFault) as caught:
        fetcher.fetch(Reference("http://images.example:8080/"))
    assert caught.value.reason is DeadLetterReason.REFERENCE_FORBIDDEN
    assert "WATCHWORD_FETCH_PORTS" in caught.value.detail


def test_a_name_without_addresses_fails() -> None:
    fetcher = Fetcher(FetchRules(), resolve=lambda host, port: [])
    with pytest.raises(RecordFault) as caught:
        fetcher.fetch(Reference("http://images.example/"))
    assert caught.value.reason is DeadLetterReason.FETCH_FAILED


def test_a_host_that_refuses_connections_is_blocked_after_five_references() -> None:
    looked_up: list[str] = []

    def find(host: str, port: int) -> list[str]:
        looked_up.append(host)
        raise OSError("no such name")

    now = [0.0]
    fetcher = Fetcher(FetchRules(tries=1), resolve=find, clock=lambda: now[0])
    details = []
    for _ in range(7):
        with pytest.raises(RecordFault) as caught:
            fetcher.fetch(Reference("http://gone.example/"))
        details.append(caught.value.detail)
    assert len(looked_up) == 5
    assert "left alone" in details[-1]
    now[0] = 31.0
    with pytest.raises(RecordFault):
        fetcher.fetch(Reference("http://gone.example/"))
    assert len(looked_up) == 6


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


BAD = DeadLetterReason.BAD_REFERENCE


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", BAD),
        ("x\udcff", BAD),
        ("file:///\ud800", BAD),
        ("http://h/\x00", BAD),
        ("http://h\n/", BAD),
        ("file:relative/path", BAD),
        ("file:///a%00b", BAD),
        ("http://", BAD),
        ("http:///path", BAD),
        ("http://h:0/", BAD),
        ("http://h:65536/", BAD),
        ("http://h:port/", BAD),
        ("http://xn--\u00fc/", BAD),
        ("http://" + "a" * 64 + "/", BAD),
        ("http://" + "a." * 130 + "/", BAD),
        ("http://a..b/", BAD),
        ("http://%31%32%37.0.0.1/", BAD),
        ("http://\uff11\uff12\uff17.0.0.1/", BAD),
        ("http://h/" + "x" * 10_000_000, BAD),
        ("file:///" + "a/" * 1_000_000, BAD),
        ("http://[fe80::1%25lo]/", DeadLetterReason.REFERENCE_FORBIDDEN),
    ],
)
def test_odd_references_raise_only_record_faults(uri: str, reason: DeadLetterReason) -> None:
    assert refused(uri) is reason


PIECES = [
    "http://",
    "https://",
    "file://",
    "//",
    "/",
    "@",
    ":",
    "[",
    "]",
    "%",
    "%00",
    "?",
    "#",
    "\\",
    "..",
    "::1",
    "xn--",
]
PIECES += [
    "127.0.0.1",
    "10.1",
    "99999",
    "\u3002",
    "\uff11",
    "\ud800",
    "\udcff",
    "\n",
    "\x00",
    "\u202e",
    "etc/passwd",
    "a" * 300,
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=12))
def test_any_reference_raises_only_faults(pieces: list[str]) -> None:
    refused("".join(pieces), allow_loopback=False, timeout_s=1.0)
