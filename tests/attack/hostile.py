"""Servers on loopback that behave as a script tells them, over TCP or TLS."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# What a server does with a connection, given the head of the request: it sends bytes and waits seconds, then hangs up.
Script = Callable[[bytes], Iterator[bytes | float]]

MAX_HEAD = 64 << 10


def reply(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole response; its length is given unless a field says how the body ends."""
    if not any(field.lower().startswith((b"content-length", b"transfer-encoding")) for field in fields):
        fields = (*fields, b"content-length: %d" % len(body))
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", body])


class Server:
    """
    Runs a script for each connection until it is closed.

    `silent` reads no request before the script begins; `accepts` off leaves connections in the backlog, which is full.
    """

    def __init__(
        self,
        script: Script,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        silent: bool = False,
        accepts: bool = True,
    ) -> None:
        self._script, self._tls, self._silent = script, tls, silent
        self._stopped = threading.Event()
        self._listener = socket.create_server((host, 0), backlog=64 if accepts else 0)
        self._listener.settimeout(0.2)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._fillers: list[socket.socket] = []
        if accepts:
            self._start(self._accept)
        else:
            self._fill_backlog(host)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for each in (self._listener, *self._fillers):
            each.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _fill_backlog(self, host: str) -> None:
        for _ in range(4):
            filler = socket.socket()
            filler.settimeout(0)
            with suppress(OSError):
                filler.connect((host, self.port))
            self._fillers.append(filler)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with suppress(OSError), connection:
            if self._tls is None:
                self._play(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._play(secured)

    def _play(self, connection: socket.socket) -> None:
        head = b"" if self._silent else self._head(connection)
        if not head and not self._silent:
            return
        for step in self._script(head):
            if self._stopped.is_set():
                return
            if isinstance(step, float):
                self._stopped.wait(step)
            else:
                self._send(connection, step)

    def _head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
            piece = connection.recv(4096)
            if not piece:
                return b""
            head += piece
        return head

    def _send(self, connection: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._stopped.is_set():
            with suppress(TimeoutError):
                view = view[connection.send(view) :]


def certificate(path: Path, *hosts: str) -> ssl.SSLContext:
    """Write a certificate for hosts and loopback, with its key; return the context of a client which trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile")])
    now = dt.datetime.now(dt.UTC)
    names = [*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + pem)
    return ssl.create_default_context(cadata=pem.decode())


def server_tls(certificate: Path, *, tickets: int = 2) -> ssl.SSLContext:
    """Return a server's context; it sends so many session tickets behind the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.num_tickets = tickets
    return context
