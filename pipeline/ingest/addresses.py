"""Addresses that may be fetched from. The list does not depend on the tables of the Python version."""

import ipaddress
import socket
from collections.abc import Iterable

from pipeline.errors import DeadLetterReason
from pipeline.ingest.shown import fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The whole IANA IPv4 Special-Purpose Address Registry, multicast, and services of clouds for their own machines.
_CLOSED_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private use, RFC 1918
        "100.64.0.0/10",  # shared address space, RFC 6598; Alibaba Cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback, RFC 1122
        "169.254.0.0/16",  # link-local, RFC 3927; most clouds' metadata at 169.254.169.254
        "172.16.0.0/12",  # private use, RFC 1918
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890; Oracle Cloud Classic's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # automatic multicast tunnelling, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private use, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, RFC 1112; limited broadcast, RFC 8190
        "168.63.129.16/32",  # Azure's WireServer and DNS
        "192.80.8.124/32",  # Equinix Metal's metadata
        "161.26.0.0/16",  # IBM Cloud's internal services
        "166.8.0.0/14",  # IBM Cloud's internal services
    )
)

# Global unicast, RFC 4291. Other addresses are unassigned, local, multicast, or IPv4 in IPv6: compatible, SIIT, NAT64.
_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_IPV6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments, RFC 2928: Teredo, benchmarking, AMT, AS112, ORCHID, drones
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056: leads to the embedded IPv4 address
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3ffe::/16",  # the 6bone, returned, RFC 3701
        "3fff::/20",  # documentation, RFC 9637
    )
)
_LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
_ISATAP = 0x5EFE  # RFC 5214: an interface id of 0000:5efe or 0200:5efe leads to the IPv4 address that follows it
_ISATAP_MASK = 0xFDFF_FFFF


def is_public(address: Address, *, allow_loopback: bool = False) -> bool:
    """Tell whether an address is on the public internet. An IPv4-mapped IPv6 address is checked as IPv4."""
    if isinstance(address, ipaddress.IPv4Address):
        closed = any(address in block for block in _CLOSED_IPV4)
        return (allow_loopback and is_loopback(address)) or not closed
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped, allow_loopback=allow_loopback)
    if address not in _OPEN_IPV6:
        return allow_loopback and is_loopback(address)
    isatap = (int(address) >> 32) & _ISATAP_MASK == _ISATAP
    return not isatap and not any(address in block for block in _CLOSED_IPV6)


def is_loopback(address: Address) -> bool:
    """Tell whether an address is in 127.0.0.0/8, also as an IPv4-mapped IPv6 address, or is ::1."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return is_loopback(address.ipv4_mapped)
    return any(address in block for block in _LOOPBACK)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the system's order. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def literal(host: str) -> list[str] | None:
    """Return the address if the host is written as an IP address, so that no look-up is needed; else None."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return None


def checked(host: str, port: int, answers: Iterable[str], ports: tuple[int, ...], *, allow_loopback: bool) -> list[str]:
    """
    Return the distinct addresses of a host if a connection to each of them is allowed.

    Raises `RecordFault`: `reference_forbidden` if an address or the port is not allowed, and `fetch_failed` if there is
    no address.
    """
    addresses = [_address(host, text) for text in dict.fromkeys(answers)]
    if not addresses:
        raise fault(DeadLetterReason.FETCH_FAILED, f"`{host}` has no address")
    for address in addresses:
        if not is_public(address, allow_loopback=allow_loopback):
            detail = f"`{host}` leads to {address}, which is not a public address"
            raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, detail)
    if port not in ports and not (allow_loopback and all(map(is_loopback, addresses))):
        detail = f"port {port} of `{host}` is not allowed (WATCHWORD_FETCH_PORTS)"
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, detail)
    return [str(address) for address in addresses]


def _address(host: str, text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        detail = f"`{host}` leads to `{text}`, which is not an address"
        raise fault(DeadLetterReason.REFERENCE_FORBIDDEN, detail) from error
