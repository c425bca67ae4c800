"""Fetching of references: `file:` under an allowed root, `http(s):` on the public internet."""

import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.addresses import checked, literal, resolve
from pipeline.ingest.breaker import HostBreaker, HostLeftAlone, Trail
from pipeline.ingest.deadline import Clock, CurrentDeadline, Deadline, DeadlinePassed, Lookups, Resolve
from pipeline.ingest.files import read_file
from pipeline.ingest.location import MAX_CHARACTERS, BadLocation, Location, OtherScheme, authorization, parse_location
from pipeline.ingest.shown import fault, shown
from pipeline.ingest.transport import GuardedBackend
from pipeline.ingest.web import BadStatus, Unreachable, WebClient

_NOT_TEXT = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class FetchRules:
    """
    Rules for fetching references: allowed locations and limits.

    `timeout_s` limits the total time of one reference: look-ups, tries, pauses between them, and redirects.
    """

    file_roots: tuple[Path, ...] = ()
    http: bool = True
    max_bytes: int = 10 << 20
    timeout_s: float = 10.0
    tries: int = 3
    redirects: int = 3
    ports: tuple[int, ...] = (80, 443)
    allow_loopback: bool = False


class Fetcher:
    """
    Fetches references within the rules. Several threads may call it.

    A failing server is tried a limited number of times. One that keeps failing gets no requests for a while: it is not
    a dependency of this service, and the stream does not wait for it.
    """

    def __init__(
        self,
        rules: FetchRules,
        *,
        pause: Callable[[float], object] = time.sleep,
        resolve: Resolve = resolve,
        clock: Clock = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Pass `tls` for servers with certificates from a private authority."""
        self._rules = rules
        self._pause = pause
        self._clock = clock
        self._current = CurrentDeadline()
        self._lookups = Lookups(resolve)
        self._breaker = HostBreaker(clock)
        backend = GuardedBackend(self._addresses, self._current.left, allow_loopback=rules.allow_loopback)
        tls = tls or httpx.create_ssl_context(trust_env=False)
        self._client = WebClient(backend, tls, rules.max_bytes, self._current.left)

    def fetch(self, reference: Reference) -> bytes:
        """
        Return the bytes of a reference.

        Raises `RecordFault` with `bad_reference`, `reference_forbidden`, `too_large` or `fetch_failed`.
        """
        deadline = Deadline(self._clock() + self._rules.timeout_s, self._clock)
        try:
            with self._current.of(deadline):
                return self._content(reference.uri)
        except DeadlinePassed as error:
            problem = f"`{shown(reference.uri)}`: not whole after {self._rules.timeout_s:g} s"
            raise fault(DeadLetterReason.FETCH_FAILED, problem) from error
        except RecordFault as error:
            raise fault(error.reason, f"`{shown(reference.uri)}`: {error.detail}") from error

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _content(self, uri: str) -> bytes:
        if len(uri) > MAX_CHARACTERS:
            raise fault(DeadLetterReason.BAD_REFERENCE, f"longer than {MAX_CHARACTERS} characters")
        if _NOT_TEXT.search(uri):  # parsers drop some of these, so two parsers could read two different references
            raise fault(DeadLetterReason.BAD_REFERENCE, "control characters and lone surrogates are not allowed")
        scheme = uri.partition(":")[0].lower()
        if scheme == "file":
            return read_file(uri, self._rules.file_roots, self._rules.max_bytes, self._current.left)
        if scheme in ("http", "https"):
            return self._over_http(uri)
        raise fault(DeadLetterReason.BAD_REFERENCE, "expected `file:`, `http:` or `https:`")

    def _over_http(self, uri: str) -> bytes:
        if not self._rules.http:
            raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, "fetching over HTTP is switched off")
        try:
            start, credentials = parse_location(uri), authorization(uri)
        except BadLocation as error:
            raise fault(DeadLetterReason.BAD_REFERENCE, str(error)) from error
        try:
            with Trail(self._breaker, self._clock, self._rules.timeout_s / 2).settled() as trail:
                return self._with_tries(start, credentials, trail)
        except HostLeftAlone as error:
            raise fault(DeadLetterReason.FETCH_FAILED, str(error)) from error

    def _with_tries(self, start: Location, credentials: str | None, trail: Trail) -> bytes:
        number = 0
        while True:
            number += 1
            try:
                return self._follow(start, credentials, trail)
            except Unreachable as error:
                trail.unreachable()
                problem = str(error)
            except BadStatus as error:
                problem = str(error)
                if error.status not in _WORTH_ANOTHER_TRY:
                    break
            pause_s = 0.1 * 2**number
            if number >= self._rules.tries or pause_s >= self._current.left():
                break
            self._pause(pause_s)
        raise fault(DeadLetterReason.FETCH_FAILED, f"{problem}, after {number} {'try' if number == 1 else 'tries'}")

    def _follow(self, start: Location, credentials: str | None, trail: Trail) -> bytes:
        here = start
        for _ in range(self._rules.redirects + 1):
            with trail.at(here.endpoint):
                answer = self._client.get(here, credentials if start.trusts(here) else None, trail.answered)
            if answer.redirect is None:
                return answer.content
            here = _redirected(here, answer.redirect)
        raise fault(DeadLetterReason.FETCH_FAILED, f"more than {self._rules.redirects} redirects")

    def _addresses(self, host: str, port: int) -> list[str]:
        answers = literal(host)
        if answers is None:
            try:
                answers = self._lookups.find(host, port, self._current.left)
            except (OSError, UnicodeError) as error:
                raise Unreachable(f"`{host}` does not resolve: {error}") from error
        return checked(host, port, answers, self._rules.ports, allow_loopback=self._rules.allow_loopback)


def _redirected(here: Location, reference: str) -> Location:
    try:
        return here.joined(reference)
    except OtherScheme as error:
        detail = f"redirected to `{shown(reference)}`: {error}"
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, detail) from error
    except BadLocation as error:
        detail = f"redirected to `{shown(reference)}`: {error}"
        raise fault(DeadLetterReason.FETCH_FAILED, detail) from error
