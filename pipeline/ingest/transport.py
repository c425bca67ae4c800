"""Connections of the HTTP client: only to checked addresses, and with every wait limited by the deadline."""

# ruff: noqa: ARG002 -- the interface has time-outs and options; the deadline is used in their place

import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import httpcore

from pipeline.errors import DeadLetterReason
from pipeline.ingest.deadline import DeadlinePassed
from pipeline.ingest.shown import fault

# The number of a host's addresses that are tried.
ADDRESSES_TRIED = 4
_TLS_READ_BYTES = 16 << 10

Addresses = Callable[[str, int], list[str]]
Left = Callable[[], float]
T = TypeVar("T")


class PlainStream(httpcore.NetworkStream):
    """A TCP connection. Each call is limited by the calling thread's deadline; time-out arguments are ignored."""

    def __init__(self, connection: socket.socket, left: Left) -> None:
        self._socket = connection
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadError):
            self._socket.settimeout(self._left())
            return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        with _translated(httpcore.WriteError):
            while rest:
                self._socket.settimeout(self._left())
                rest = rest[self._socket.send(rest) :]

    def close(self) -> None:
        with suppress(OSError):  # no longer connected
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a reading thread
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            return TlsStream(self, ssl_context, server_hostname)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._readable() if info == "is_readable" else None

    def _readable(self) -> bool:
        if self._socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))


class TlsStream(httpcore.NetworkStream):
    """
    TLS over a connection, with its input passed to OpenSSL in pieces.

    The deadline is checked between the pieces. OpenSSL itself would continue to read while records without content,
    such as session tickets or key updates, arrive.
    """

    def __init__(self, raw: PlainStream, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with _translated(httpcore.ConnectError):
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
            self._fed(self._tls.do_handshake)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadError):
            try:
                return self._fed(partial(self._tls.read, max_bytes))
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""  # many servers close without a TLS notice; a body of known length still shows truncation

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        with _translated(httpcore.WriteError):
            while rest:
                rest = rest[self._fed(partial(self._tls.write, rest)) :]

    def close(self) -> None:
        self._raw.close()

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else self._raw.get_extra_info(info)

    def _fed(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _feed(self) -> None:
        if piece := self._raw.read(_TLS_READ_BYTES):
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()


class GuardedBackend(httpcore.NetworkBackend):
    """
    Connects to the addresses that `addresses` returns after checking them; if one refuses, to the next one.

    A host is resolved once per connection, and the connection goes to an address of that answer, so a second look-up
    cannot lead elsewhere. The peer of a reused connection was checked before. `addresses` raises `RecordFault`.
    """

    def __init__(self, addresses: Addresses, left: Left, *, allow_loopback: bool) -> None:
        self._addresses = addresses
        self._left = left
        self._allow_loopback = allow_loopback

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._addresses(host, port)[:ADDRESSES_TRIED]
        for number, address in enumerate(addresses, start=1):
            share = self._left() / (len(addresses) - number + 1)
            try:
                return PlainStream(self._connected(address, port, share), self._left)
            except OSError as error:
                problem = error
        self._left()
        raise httpcore.ConnectError(problem.strerror or str(problem)) from problem

    def _connected(self, address: str, port: int, within_s: float) -> socket.socket:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(within_s)
            connection.connect((address, port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._refuse_own(connection, address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_own(self, connection: socket.socket, address: str) -> None:
        if not self._allow_loopback and connection.getsockname()[0] == connection.getpeername()[0]:
            raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, f"{address} is an address of this host")


@contextmanager
def _translated(kind: type[httpcore.NetworkError]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise DeadlinePassed from error
    except OSError as error:
        raise kind(error.strerror or str(error)) from error
    except ValueError as error:  # a host name that TLS does not accept
        raise httpcore.LocalProtocolError(str(error)) from error
