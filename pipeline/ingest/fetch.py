"""References to bytes: `file:` under an allowed root, `http(s):` on the public internet. The only user of httpx."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.addresses import GuardedTransport, Resolve, resolve

_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched and for how long."""

    file_roots: tuple[Path, ...] = ()
    http: bool = True
    max_bytes: int = 10 << 20
    timeout_s: float = 10.0
    tries: int = 3
    redirects: int = 3
    allow_loopback: bool = False


class Fetcher:
    """
    Fetches references within the rules. Calls from several threads are allowed.

    A server that fails is tried a bounded number of times: it is someone else's, and the stream does not wait for it.
    """

    def __init__(
        self, rules: FetchRules, *, pause: Callable[[float], object] = time.sleep, resolve: Resolve = resolve
    ) -> None:
        self._rules = rules
        self._pause = pause
        inner = httpx.HTTPTransport(retries=0, trust_env=False)
        self._client = httpx.Client(
            transport=GuardedTransport(inner, allow_loopback=rules.allow_loopback, resolve=resolve),
            timeout=rules.timeout_s,
            follow_redirects=True,
            max_redirects=rules.redirects,
            trust_env=False,
            headers={"user-agent": "watchword", "accept": "image/*"},
        )

    def fetch(self, reference: Reference) -> bytes:
        """
        Return the bytes a reference names.

        Raises `RecordFault` with `bad_reference`, `reference_forbidden`, `too_large` or `fetch_failed`.
        """
        try:
            parts = urlsplit(reference.uri)
        except ValueError as error:
            raise RecordFault(DeadLetterReason.BAD_REFERENCE, f"`{reference.uri}`: {error}") from error
        if parts.scheme == "file":
            return self._read_file(reference.uri, parts.netloc, unquote(parts.path))
        if parts.scheme in ("http", "https"):
            return self._get_with_tries(reference.uri)
        raise RecordFault(DeadLetterReason.BAD_REFERENCE, f"`{reference.uri}`: expected `file:`, `http:` or `https:`")

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _read_file(self, uri: str, host: str, name: str) -> bytes:
        if host not in ("", "localhost") or "\0" in name:
            raise RecordFault(DeadLetterReason.BAD_REFERENCE, f"`{uri}`: not a path on this host")
        path = self._under_a_root(uri, name)
        if path.exists() and not path.is_file():
            raise RecordFault(DeadLetterReason.FETCH_FAILED, f"`{uri}` is not a regular file")
        try:
            with path.open("rb") as content:
                return self._within_limit(uri, content.read(self._rules.max_bytes + 1))
        except OSError as error:
            raise RecordFault(DeadLetterReason.FETCH_FAILED, f"`{uri}`: {error.strerror or error}") from error

    def _under_a_root(self, uri: str, name: str) -> Path:
        """Return the file a path leads to, every link followed, once it is known to be under an allowed root."""
        try:
            path = Path(name).resolve()
        except RuntimeError as error:  # links that lead in a circle
            raise RecordFault(DeadLetterReason.FETCH_FAILED, f"`{uri}`: {error}") from error
        if not any(path.is_relative_to(root.resolve()) for root in self._rules.file_roots):
            detail = f"`{uri}` is under none of the allowed roots (WATCHWORD_FILE_ROOTS)"
            raise RecordFault(DeadLetterReason.REFERENCE_FORBIDDEN, detail)
        return path

    def _within_limit(self, uri: str, content: bytes) -> bytes:
        if len(content) > self._rules.max_bytes:
            detail = f"`{uri}` has more than {self._rules.max_bytes} bytes"
            raise RecordFault(DeadLetterReason.TOO_LARGE, detail)
        return content

    def _get_with_tries(self, uri: str) -> bytes:
        if not self._rules.http:
            raise RecordFault(DeadLetterReason.REFERENCE_FORBIDDEN, "fetching over HTTP is switched off")
        for number in range(1, self._rules.tries + 1):
            try:
                return self._get(uri)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            except httpx.HTTPStatusError as error:
                problem = f"status {error.response.status_code}"
                if error.response.status_code not in _WORTH_ANOTHER_TRY:
                    break
            except httpx.TooManyRedirects:
                problem = f"more than {self._rules.redirects} redirects"
                break
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
                raise RecordFault(DeadLetterReason.BAD_REFERENCE, f"`{uri}`: {error}") from error
            if number < self._rules.tries:
                self._pause(0.1 * 2**number)
        raise RecordFault(DeadLetterReason.FETCH_FAILED, f"`{uri}`: {problem}, after {number} tries")

    def _get(self, uri: str) -> bytes:
        deadline = time.monotonic() + self._rules.timeout_s
        with self._client.stream("GET", uri) as response:
            response.raise_for_status()
            content = bytearray()
            for piece in response.iter_bytes(64 << 10):
                content += piece
                if len(content) > self._rules.max_bytes:
                    break
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"not whole after {self._rules.timeout_s} s")
        return self._within_limit(uri, bytes(content))
