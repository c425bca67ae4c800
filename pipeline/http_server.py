"""An HTTP server that no client can block: it limits connections, waiting times and sizes."""

import contextlib
import io
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import structlog

DEADLINE_S = 10.0
MOST_CONNECTIONS = 32
# The interval at which the loop looks for late requests.
TICK_S = 0.2
LARGEST_HEAD = 16 << 10
LARGEST_BODY = 4096

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `path` has no query. `host` and `accept` are the client's headers, empty if there are none."""

    method: str
    path: str
    host: str
    content_type: str
    body: bytes
    accept: str = ""

    @property
    def host_name(self) -> str | None:
        """The host without its port, in lower case; None if the header is not a valid host."""
        found = _HOST.fullmatch(self.host)
        return found[1].lower().rstrip(".") if found else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `then` is called after it was sent, or after sending it failed."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[], None] | None = None


def text_reply(status: int, text: str) -> Reply:
    """Return a reply with one line of text."""
    return Reply(status, "text/plain; charset=utf-8", f"{text}\n".encode("utf-8", "backslashreplace"))


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply with a value as JSON."""
    return Reply(status, "application/json", json.dumps(value).encode() + b"\n")


class BoundedServer:
    """
    Answers GET and POST requests in separate threads, until closed.

    Several threads call `respond`. A request that does not arrive within 10 s, or is too long, is dropped. If there are
    32 connections already, the oldest one that is still sending its request is closed; if there is none, the new
    connection gets 503. Raises `OSError` when the server cannot listen on the address.
    """

    def __init__(self, host: str, port: int, respond: Callable[[Request], Reply], *, name: str) -> None:
        kind = _ServerV6 if ":" in host else _Server
        self._server = kind((host, port), respond)
        bound = self._server.server_address[1]
        self.port = int(bound)
        self.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(TICK_S,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], respond: Callable[[Request], Reply]) -> None:
        self.respond = respond
        self._lock = threading.Lock()
        # Open connections, oldest first, each with the deadline of its request, None once the request has arrived.
        self._open: dict[socket.socket, float | None] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the base class's look-up of the host name, which queries a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Accept a connection, or answer it with 503."""
        if not self._make_room():
            with contextlib.suppress(OSError):
                request.settimeout(0.1)
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        with self._lock:
            self._open[request] = time.monotonic() + DEADLINE_S
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and remove it from the list."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections whose request has not arrived in time. The server's loop calls this regularly."""
        now = time.monotonic()
        with self._lock:
            late = [each for each, until in self._open.items() if until is not None and until < now]
            self._drop(late)

    def heard(self, request: socket.socket) -> None:
        """Note that a connection's request has arrived."""
        with self._lock:
            if request in self._open:
                self._open[request] = None

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 -- the base class's signature
        """Log the error that ended a connection: at debug level if the client left, otherwise as an error."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.debug("http_client_gone", error=str(error))
        else:
            log.error("http_request_failed", exc_info=error)

    def _make_room(self) -> bool:
        with self._lock:
            if len(self._open) < MOST_CONNECTIONS:
                return True
            waiting = [each for each, until in self._open.items() if until is not None]
            self._drop(waiting[:1])
            return bool(waiting)

    def _drop(self, connections: list[socket.socket]) -> None:
        """Shut connections down, which ends their threads, and remove them. The caller holds the lock."""
        for each in connections:
            del self._open[each]
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Head(io.BufferedIOBase):
    """Reads a request's head line by line, up to a total size, and the body without a limit."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._left = LARGEST_HEAD

    def readline(self, size: int | None = -1) -> bytes:
        """Return a line. Raises `LineTooLong` when the head is longer than allowed."""
        if self._left <= 0:
            raise LineTooLong("head")
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        line: bytes = self._source.readline(wanted)
        self._left -= len(line)
        return line

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, or fewer if the client sends no more."""
        found: bytes = self._source.read(size)
        return found

    def close(self) -> None:
        """Close the connection's reading side."""
        self._source.close()
        super().close()


class _Handler(BaseHTTPRequestHandler):
    timeout = DEADLINE_S
    server_version, sys_version = "watchword", ""
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.rfile = _Head(self.rfile)

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > LARGEST_BODY:
            self._send(text_reply(413, f"a body of up to {LARGEST_BODY} bytes, with its content-length"))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self._send(text_reply(400, "the body is shorter than its content-length"))
            return
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        self.server.heard(self.connection)
        hosts = self.headers.get_all("host", [])
        if len(hosts) > 1 or not self.path.startswith("/"):
            self._send(text_reply(400, "expected one host and a path"))
            return
        path, kind = self.path.partition("?")[0], self.headers.get("content-type", "")
        accept = self.headers.get("accept", "")
        try:
            reply = self.server.respond(Request(self.command, path, "".join(hosts).strip(), kind, body, accept))
        except Exception:
            self._send(text_reply(500, "an error, see the log"))
            raise
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.server.heard(self.connection)
        headers = {**reply.headers, "content-type": reply.content_type, "content-length": str(len(reply.body))}
        try:
            self.send_response(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
        finally:
            if reply.then is not None:
                reply.then()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing for a request."""
