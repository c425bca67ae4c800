"""Which network addresses a reference may lead to, held at the address actually connected to."""

import ipaddress
import socket
from collections.abc import Callable

import httpx

from pipeline.errors import DeadLetterReason, RecordFault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

# IPv6 prefixes that carry an IPv4 address a gateway may connect to: NAT64 (RFC 6052) and 6to4 (RFC 3056).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")


def is_public(address: Address, *, allow_loopback: bool = False) -> bool:
    """Tell whether an address is on the public internet, looking through IPv4 addresses inside IPv6 ones."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address in _SIX_TO_FOUR:
            inner = address.sixtofour
        if inner is not None:
            return is_public(inner, allow_loopback=allow_loopback)
    if address.is_loopback:
        return allow_loopback
    return address.is_global and not address.is_multicast


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the system's order. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]).partition("%")[0] for *_, place in found]


class GuardedTransport(httpx.BaseTransport):
    """
    Sends each request, redirects included, to an address it has checked itself.

    The name is resolved once and the connection goes to the checked address with the name kept for `Host` and TLS, so
    a second look-up cannot lead elsewhere. Raises `RecordFault` with `reference_forbidden` for any other address.
    """

    def __init__(self, inner: httpx.BaseTransport, *, allow_loopback: bool, resolve: Resolve = resolve) -> None:
        self._inner = inner
        self._allow_loopback = allow_loopback
        self._resolve = resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise RecordFault(DeadLetterReason.REFERENCE_FORBIDDEN, f"`{url.scheme}:` is not fetched")
        address = self._checked_address(url.host, url.port or (443 if url.scheme == "https" else 80))
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=address)  # the Host header was set from the name when the request was built
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()

    def _checked_address(self, host: str, port: int) -> str:
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpx.ConnectError(f"`{host}` does not resolve: {error}") from error
        for text in addresses:
            if not is_public(ipaddress.ip_address(text), allow_loopback=self._allow_loopback):
                detail = f"`{host}` leads to {text}, which is not a public address"
                raise RecordFault(DeadLetterReason.REFERENCE_FORBIDDEN, detail)
        return addresses[0]
