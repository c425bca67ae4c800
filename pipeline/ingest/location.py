"""Parsing of `http:` and `https:` references: each part is checked before a look-up or a request."""

import base64
import ipaddress
import re
from dataclasses import dataclass

import httpx

MAX_CHARACTERS = 8192
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
_MAX_HOST = 253
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


class BadLocation(ValueError):
    """A text is not a URL that can be requested. The message does not quote it, because it may contain a password."""


class OtherScheme(BadLocation):
    """A URL is neither `http:` nor `https:`."""


@dataclass(frozen=True, slots=True)
class Location:
    """The location of a request. `host` is ASCII and lower case; `target` is the quoted path and query."""

    scheme: str
    host: str
    port: int
    target: bytes

    @property
    def endpoint(self) -> str:
        """The host and the port."""
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """The `Host` header of a request. It contains the port unless that is the default of the scheme."""
        return self._bracketed if self.port == _DEFAULT_PORTS[self.scheme] else self.endpoint

    def joined(self, reference: str) -> "Location":
        """Return the location of a redirect from this one. Raises `BadLocation`."""
        if len(reference) > MAX_CHARACTERS:
            raise BadLocation(f"longer than {MAX_CHARACTERS} characters")
        base = f"{self.scheme}://{self.authority}{self.target.decode('ascii')}"
        try:
            return parse_location(str(httpx.URL(base).join(reference)))
        except BadLocation:
            raise
        except (httpx.InvalidURL, ValueError) as error:
            raise BadLocation("not a valid URL") from error

    def trusts(self, other: "Location") -> bool:
        """Tell whether credentials may be sent on to `other`: the same origin, or the same host with `https:`."""
        if (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port):
            return True
        safer = (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)
        return safer and self.host == other.host

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_location(text: str) -> Location:
    """Return the location of a URL, without its user name, password and fragment. Raises `BadLocation`."""
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii").removesuffix(".")
        port = url.port
        target = url.raw_path
    except (httpx.InvalidURL, ValueError) as error:
        raise BadLocation("not a valid URL") from error
    if url.scheme not in _DEFAULT_PORTS:
        raise OtherScheme("expected `http:` or `https:`")
    if not _is_host(host):
        raise BadLocation("not a valid host")
    port = _DEFAULT_PORTS[url.scheme] if port is None else port
    if not 0 < port <= _MAX_PORT:
        raise BadLocation(f"a port is between 1 and {_MAX_PORT}")
    return Location(url.scheme, host, port, target)


def authorization(text: str) -> str | None:
    """Return the value of the `Authorization` header for a URL's user name and password, None without them."""
    url = httpx.URL(text)
    if not url.userinfo:
        return None
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode("ascii")


def _is_host(host: str) -> bool:
    if ":" not in host:
        return len(host) <= _MAX_HOST and _NAME.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
