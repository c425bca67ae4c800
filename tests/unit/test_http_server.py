"""The servers of health and of the label page: no client can block them."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog.testing

from pipeline import http_server
from pipeline.errors import UsageError
from pipeline.http_server import BoundedServer, Reply, Request, json_reply, text_reply
from pipeline.telemetry.health import HealthServer
from pipeline.telemetry.metrics import Metrics
from tests.support.waiting import wait_until


def respond(request: Request) -> Reply:
    if request.path == "/fault":
        raise RuntimeError("a bug")
    return json_reply({"path": request.path, "body": request.body.decode()})


@pytest.fixture
def server() -> Iterator[BoundedServer]:
    server = BoundedServer("127.0.0.1", 0, respond, name="bounded-test")
    yield server
    server.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "DEADLINE_S", 0.3)


def connect(server: BoundedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def answer(server: BoundedServer, request: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def status(server: BoundedServer, request: bytes) -> int:
    found = re.match(rb"HTTP/1.0 (\d+)|[^$]*Error code: (\d+)", answer(server, request))
    assert found
    return int(found[1] or found[2])


def test_requests_are_answered(server: BoundedServer) -> None:
    assert httpx.get(f"http://{server.address}/a?b=c").json() == {"path": "/a", "body": ""}
    assert httpx.post(f"http://{server.address}/a", content=b"xyz").json()["body"] == "xyz"
    assert "Python" not in httpx.get(f"http://{server.address}/a").headers["server"]


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET / HTTP/1.0\r\n" + b"x: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\n" + b"x: y\r\n" * 5_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.0\r\n\r\n", 431),
        (b"GET http://other/ HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.0\r\ncontent-length: -1\r\n\r\n", 413),
        (b"POST / HTTP/1.0\r\ncontent-length: 5000\r\n\r\n", 413),
        (b"BREW / HTTP/1.0\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
    ],
)
def test_an_oversized_or_invalid_request_is_refused(server: BoundedServer, request_bytes: bytes, expected: int) -> None:
    assert status(server, request_bytes) == expected


def test_a_body_that_ends_too_soon_is_refused(server: BoundedServer) -> None:
    with connect(server) as client:
        client.sendall(b"POST / HTTP/1.0\r\ncontent-length: 9\r\n\r\nabc")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100).split()[1] == b"400"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("start", [b"", b"GET / HT", b"POST / HTTP/1.0\r\ncontent-length: 9\r\n\r\nabc"])
def test_a_silent_client_is_disconnected(start: bytes) -> None:
    bounded = contextlib.closing(BoundedServer("127.0.0.1", 0, respond, name="bounded-test"))
    with bounded as server, connect(server) as client:
        client.sendall(start)
        while client.recv(1 << 16):
            pass  # until it is closed, which the client's own time-out would tell otherwise


@pytest.mark.usefixtures("impatient")
def test_a_client_that_sends_a_byte_at_a_time_is_disconnected() -> None:
    bounded = contextlib.closing(BoundedServer("127.0.0.1", 0, respond, name="bounded-test"))
    with bounded as server, connect(server) as client:
        client.settimeout(0.05)
        assert any(_closed_after_a_byte(client) for _ in range(100))


def _closed_after_a_byte(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
        return not client.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_half_open_clients_take_a_bounded_number_of_threads_and_block_nobody(server: BoundedServer) -> None:
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(server)).sendall(b"GET / HTTP/1.0\r\n")
        assert httpx.get(f"http://{server.address}/a").status_code == 200
        bound = before + http_server.MOST_CONNECTIONS
        wait_until(lambda: threading.active_count() <= bound, 5, "threads of dropped clients to end")


def test_a_request_over_the_limit_is_turned_away() -> None:
    let_go, working = threading.Event(), threading.Semaphore(0)

    def slow(request: Request) -> Reply:
        working.release()
        let_go.wait(10)
        return text_reply(200, "done")

    with contextlib.closing(BoundedServer("127.0.0.1", 0, slow, name="bounded-test")) as server:
        clients = [connect(server) for _ in range(http_server.MOST_CONNECTIONS)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for _ in clients:
            assert working.acquire(timeout=5)
        with connect(server) as late:
            assert late.recv(100).split()[1] == b"503"
        let_go.set()
        assert all(client.recv(100).split()[1] == b"200" for client in clients)
        for client in clients:
            client.close()


def test_a_client_that_hangs_up_is_not_logged(server: BoundedServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with connect(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert httpx.get(f"http://{server.address}/a").status_code == 200
    assert capfd.readouterr().err == ""


def test_a_fault_of_ours_is_answered_and_logged(server: BoundedServer) -> None:
    with structlog.testing.capture_logs() as logged:
        assert httpx.get(f"http://{server.address}/fault").status_code == 500
        wait_until(lambda: bool(logged), 5, "the log")
    [event] = logged
    assert event["event"] == "http_request_failed"
    assert repr(event["exc_info"]) == "RuntimeError('a bug')"


@pytest.fixture
def health() -> Iterator[Callable[..., HealthServer]]:
    with contextlib.ExitStack() as stack:

        def start(**given: Any) -> HealthServer:
            checks: dict[str, Any] = {"alive": lambda: {"loop": True}, "ready": lambda: {"broker": False}}
            return stack.enter_context(
                contextlib.closing(HealthServer("127.0.0.1", 0, Metrics(), **{**checks, **given}))
            )

        yield start


def test_health_reports_its_checks_and_further_fields(health: Callable[..., HealthServer]) -> None:
    address = health(alive=lambda: {"loop": True, "since": "2026-11-14", "note": "", "count": 0}).address
    alive, ready = (httpx.get(f"http://{address}/{path}") for path in ("healthz", "readyz"))
    assert (alive.status_code, alive.json()["since"]) == (200, "2026-11-14"), "only what is true or false counts"
    assert (ready.status_code, ready.json()) == (503, {"broker": False})
    assert "watchword_build_info" in httpx.get(f"http://{address}/metrics").text
    assert httpx.get(f"http://{address}/").status_code == 404
    assert httpx.post(f"http://{address}/metrics").status_code == 405


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9464", "10.2.3.4", "[::1]:9464", "[fd00::7]", "localhost", "LOCALHOST:1", "localhost.", "worker",
        "watchword.monitoring.svc:9464", "watchword.monitoring.svc.cluster.local", "a.localhost", "metrics.example", "",
        socket.gethostname(),
    ],
)  # fmt: skip
def test_requests_by_address_or_local_name_are_answered(health: Callable[..., HealthServer], host: str) -> None:
    address = health(allowed_hosts=["Metrics.example"]).address
    assert httpx.get(f"http://{address}/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example.",
        "evilsvc.example", "[::1].evil.example", "a b", "localhost:evil", "x@127.0.0.1", "1.2.3.4.5", "0x7f.1",
    ],
)  # fmt: skip
def test_a_foreign_host_name_is_refused(health: Callable[..., HealthServer], host: str) -> None:
    """With DNS rebinding, the name `evil.example` leads here, and its page could read the answers."""
    refused = httpx.get(f"http://{health().address}/metrics", headers={"host": host})
    assert refused.status_code == 421
    assert "watchword_" not in refused.text


def test_a_port_that_is_taken_or_an_address_of_another_host_is_a_usage_error(
    health: Callable[..., HealthServer],
) -> None:
    port = int(health().address.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match="is taken"):
        HealthServer("127.0.0.1", port, Metrics(), alive=dict, ready=dict)
    with pytest.raises(UsageError, match="cannot be served at"):
        HealthServer("192.0.2.1", 0, Metrics(), alive=dict, ready=dict)


def test_health_is_served_over_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = HealthServer("::1", 0, Metrics(), alive=lambda: {"loop": True}, ready=dict)
    except UsageError:
        pytest.skip("no IPv6 loopback here")
    with contextlib.closing(server):
        assert json.loads(httpx.get(f"http://{server.address}/healthz").text) == {"loop": True}
