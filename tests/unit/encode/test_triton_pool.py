"""Several Tritons: requests are shared, a failing or hanging one is left out and taken back, names are looked up."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.triton_pool import TritonPool, addresses_of
from pipeline.errors import EncoderFault
from tests.support.waiting import wait_until

PIXELS = np.zeros((2, 4, 4, 3), np.uint8)


class Server:
    """A server that answers, fails or hangs."""

    def __init__(self) -> None:
        self.answering, self.problem = True, ""
        self.broken, self.closed = False, False
        self.hangs = threading.Event()
        self.released = threading.Event()

    def check(self) -> None:
        if self.broken or self.hangs.is_set():
            self.answering, self.problem = False, "away"
            raise EncoderFault("away")
        self.answering, self.problem = True, ""

    def free_abandoned_regions(self) -> int:
        return 1

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.hangs.is_set():
            self.released.wait(20)
        if self.broken or self.hangs.is_set():
            self.answering = False
            raise EncoderFault("away")
        return np.ones((len(images), 3), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_images(np.zeros((len(texts), 1, 1, 3), np.uint8))

    def close(self) -> None:
        self.closed = True


class Pool:
    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.servers: dict[str, Server] = {}
        self.requests: Counter[str] = Counter()
        self.changes: list[tuple[str, bool]] = []
        self.pool = TritonPool(
            lambda: self.addresses,
            self._connect,
            model_digest="m",
            logit_scale=1.0,
            on_request=lambda address: self.requests.update([address]),
            on_change=lambda address, up: self.changes.append((address, up)),
        )

    def _connect(self, address: str) -> Server:
        return self.servers.setdefault(address, Server())

    def ask(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.pool.encode_images(PIXELS).shape == (2, 3)


def test_requests_are_shared_evenly() -> None:
    pool = Pool("a:1", "b:1", "c:1")
    pool.ask(90)
    assert pool.requests == {"a:1": 30, "b:1": 30, "c:1": 30}


def test_a_failing_server_is_left_out_and_taken_back() -> None:
    pool = Pool("a:1", "b:1")
    pool.servers["a:1"].broken = True
    pool.ask(20)
    assert pool.requests["a:1"] <= 4
    assert ("a:1", False) in pool.changes
    assert pool.pool.answering
    assert pool.pool.encode_texts(["a", "b"]).shape == (2, 3)
    pool.pool.check()
    pool.servers["a:1"].broken = False
    pool.pool.check()
    assert pool.changes[-1] == ("a:1", True)
    before = pool.requests["a:1"]
    pool.ask(20)
    assert pool.requests["a:1"] - before == 10


def test_a_request_on_a_hanging_server_goes_to_another_once_a_check_fails() -> None:
    pool = Pool("a:1", "b:1")
    pool.servers["a:1"].hangs.set()
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(pool.pool.encode_images, PIXELS) for _ in range(2)]
        wait_until(lambda: bool(pool.requests["a:1"]), 5, "a request on the hanging server", 0.01)
        pool.pool.check()
        assert all(future.result(5).shape == (2, 3) for future in waiting)
    pool.servers["a:1"].released.set()


def test_with_no_server_the_fault_is_raised_and_each_later_call_tries_again() -> None:
    pool = Pool("a:1", "b:1")
    for server in pool.servers.values():
        server.broken = True
    with pytest.raises(EncoderFault):
        pool.pool.encode_images(PIXELS)
    with pytest.raises(EncoderFault):
        pool.pool.check()
    assert not pool.pool.answering
    assert pool.pool.problem == "away; away"
    pool.servers["b:1"].broken = False
    pool.pool.encode_images(PIXELS)
    assert pool.changes[-1] == ("b:1", True)


def test_servers_come_and_go_with_the_name() -> None:
    pool = Pool("a:1")
    pool.ask()
    pool.addresses = ["b:1"]
    pool.pool.check()
    assert pool.servers["a:1"].closed
    pool.ask(3)
    assert pool.requests["b:1"] == 3
    assert pool.pool.free_abandoned_regions() == 1


def test_every_address_behind_a_name_is_found() -> None:
    behind = [(0, 0, 0, "", (ip, 8001)) for ip in ("10.0.0.2", "10.0.0.1", "10.0.0.1")]
    with mock.patch("socket.getaddrinfo", side_effect=lambda host, *_, **__: behind if host == "triton" else []):
        assert addresses_of("triton:8001") == ["10.0.0.1:8001", "10.0.0.2:8001"]
        assert addresses_of("localhost:8001, 10.0.0.9:8001,[::1]:1") == ["localhost:8001", "10.0.0.9:8001", "[::1]:1"]
        assert addresses_of("unknown:8001") == ["unknown:8001"]
