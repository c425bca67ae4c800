"""Sockets that reach nothing but this host, so that a check that fails cannot do harm."""

import ipaddress
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

Place = tuple[str, int]


class Escapes:
    """Connections that were asked for and not allowed. Calls from several threads are allowed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: list[str] = []

    def __len__(self) -> int:
        return len(self._places)

    def add(self, place: object) -> None:
        with self._lock:
            self._places.append(str(place))

    def taken(self) -> list[str]:
        with self._lock:
            places, self._places = self._places, []
            return places


@contextmanager
def only_loopback(stand_ins: Mapping[Place, Place] | None = None, *, loopback: bool = True) -> Iterator[Escapes]:
    """
    Refuse every connection that does not lead to this host, and fail every look-up of a name.

    A connection to a key of `stand_ins` goes to its value instead; with `loopback` off only those are allowed.
    """
    escapes, connect, look_up = Escapes(), socket.socket.connect, socket.getaddrinfo
    redirected = dict(stand_ins or {})

    def guarded(self: socket.socket, address: Any) -> None:
        place = tuple(address[:2]) if isinstance(address, tuple) else address
        if place in redirected:
            return connect(self, redirected[place])
        if not loopback or not _is_loopback(place):
            escapes.add(place)
            raise ConnectionRefusedError(f"the harness refuses {place}")
        return connect(self, address)

    def numeric(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        return look_up(host, port, *rest, **{**options, "flags": socket.AI_NUMERICHOST})

    with patch.object(socket.socket, "connect", guarded), patch.object(socket, "getaddrinfo", numeric):
        yield escapes


def _is_loopback(place: object) -> bool:
    try:
        return isinstance(place, tuple) and ipaddress.ip_address(str(place[0])).is_loopback
    except ValueError:
        return False
