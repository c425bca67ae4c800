"""Single HTTP requests, with limits on head and body; encoded bodies are refused."""

import io
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import h11
import httpcore

from pipeline.errors import DeadLetterReason
from pipeline.ingest.location import Location
from pipeline.ingest.shown import fault, plain

# Enough connections for any number of fetching threads. Few stay open when idle, and not for long.
_CONNECTIONS = 256
_IDLE_CONNECTIONS = 16
_IDLE_S = 5.0
_PROBLEM_CHARACTERS = 300
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SUCCESS = range(200, 300)


class Unreachable(Exception):
    """A host could not be connected to, closed the connection, or did not answer with HTTP."""


class BadStatus(Exception):
    """A host answered with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A host's answer: the content, or the reference of a redirect."""

    content: bytes = b""
    redirect: str | None = None


class WebClient:
    """
    Sends single GET requests: no cookies, proxies, stored credentials, redirects or content codings.

    `backend` connects, and limits every wait by `left`. Several threads may call it.
    """

    def __init__(
        self, backend: httpcore.NetworkBackend, tls: ssl.SSLContext, max_bytes: int, left: Callable[[], float]
    ) -> None:
        self._max_bytes = max_bytes
        self._left = left
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=backend,
        )

    def get(self, location: Location, authorization: str | None, answered: Callable[[], None]) -> Answer:
        """
        Return the answer to one request; `answered` is called when its head has arrived.

        Raises `Unreachable`, `BadStatus`, the errors of the backend, and `RecordFault`: `too_large` or `fetch_failed`.
        """
        url = httpcore.URL(
            scheme=location.scheme.encode(), host=location.host.encode(), port=location.port, target=location.target
        )
        headers = _headers(location, authorization)
        waiting = {"timeout": {"pool": self._left()}}
        try:
            with self._pool.stream("GET", url, headers=headers, extensions=waiting) as response:
                answered()
                return self._answer(response)
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            h11.ProtocolError,
            OSError,
        ) as error:
            raise Unreachable(plain(f"{type(error).__name__}: {error}", _PROBLEM_CHARACTERS)) from error

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def _answer(self, response: httpcore.Response) -> Answer:
        fields = [(name.lower(), value) for name, value in response.headers]
        redirect = next((value for name, value in fields if name == b"location"), None)
        if response.status in _REDIRECTS and redirect is not None:
            return Answer(redirect=_text(redirect))
        if response.status not in _SUCCESS:
            raise BadStatus(response.status)
        _require_identity([value for name, value in fields if name == b"content-encoding"])
        # h11 ensures that there is at most one length, and that it is a number.
        if any(int(value) > self._max_bytes for name, value in fields if name == b"content-length"):
            raise self._too_large()
        return Answer(content=self._body(response))

    def _body(self, response: httpcore.Response) -> bytes:
        content = io.BytesIO()
        for piece in response.iter_stream():
            self._left()
            if content.tell() + len(piece) > self._max_bytes:
                raise self._too_large()
            content.write(piece)
        return content.getvalue()

    def _too_large(self) -> Exception:
        return fault(DeadLetterReason.TOO_LARGE, f"more than {self._max_bytes} bytes")


def _headers(location: Location, authorization: str | None) -> list[tuple[str, str]]:
    headers = [
        ("host", location.authority),
        ("user-agent", "watchword"),
        ("accept", "image/*"),
        ("accept-encoding", "identity"),
    ]
    return headers if authorization is None else [*headers, ("authorization", authorization)]


def _require_identity(codings: list[bytes]) -> None:
    for coding in b",".join(codings).lower().split(b","):
        if coding.strip() not in (b"", b"identity"):
            detail = f"the body is encoded as `{plain(_text(coding.strip()), 40)}`, which was not asked for"
            raise fault(DeadLetterReason.FETCH_FAILED, detail)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
