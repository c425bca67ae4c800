"""Several Triton servers as one encoder: the least busy one is asked, and one that fails is left out meanwhile."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWorking
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from pipeline.errors import EncoderFault, RefusedByTriton

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")

# A request on a server that was left out meanwhile is abandoned within this time.
NOTICE_S = 0.25
# Requests that may still hang on a server that was left out, beside those of its next try.
THREADS = 16

_NOT_RESOLVED = frozenset({"localhost"})


class Server(Protocol):
    """
    One Triton server, as `TritonEncoder` is.

    `check` and both encodings raise `EncoderFault` when it does not answer or not as it should.
    """

    answering: bool
    problem: str

    def check(self) -> None: ...

    def free_abandoned_regions(self) -> int: ...

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def close(self) -> None: ...


def addresses_of(url: str) -> list[str]:
    """
    Return every address, `host:port`, behind `url`: comma-separated addresses whose names may have several IPs each.

    gRPC would pin a connection to one of them. A name that cannot be looked up stands for itself.
    """
    found: list[str] = []
    for part in (each.strip() for each in url.split(",")):
        host, _, port = part.rpartition(":")
        found += [f"{ip}:{port}" for ip in _ips(host, port)] or [part]
    return list(dict.fromkeys(found))


def _ips(host: str, port: str) -> list[str]:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        return []
    if host in _NOT_RESOLVED:
        return []
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    ips = sorted({str(answer[4][0]) for answer in answers})
    return [f"[{ip}]" if ":" in ip else ip for ip in ips]


class _Endpoint:
    """One server with its load. `up` is false from a fault until it answers; `faults` counts how often that began."""

    def __init__(self, address: str, server: Server) -> None:
        self.address, self.server = address, server
        self.up, self.faults = True, 0
        self.in_flight = 0
        self.turn = 0
        self._threads = ThreadPoolExecutor(THREADS, f"triton-{address}")

    def run(self, call: Callable[[Server], AnswerT]) -> AnswerT:
        """Return the answer to a call. Raises `EncoderFault`, also when the server is left out before it answers."""
        faults = self.faults
        future: Future[AnswerT] = self._threads.submit(call, self.server)
        while True:
            try:
                return future.result(NOTICE_S)
            except StillWorking:
                if self.faults != faults:
                    raise EncoderFault(f"Triton `{self.address}` was left out before it answered") from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.server.close()


class TritonPool:
    """
    Both towers on all servers behind an address. Several threads may call it.

    A request goes to the server with the fewest requests in flight; of several, to the one that was not asked for the
    longest time. When that fails, the server is left out and the request goes to another; `EncoderFault` is raised once
    none answers. `check`, called every few seconds, looks the addresses up again, and takes back servers that answer.
    `on_request` is given the address of each request, `on_change` that of a server that is left out (False) or taken
    back (True).
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        connect: Callable[[str], Server],
        *,
        model_digest: str,
        logit_scale: float,
        on_request: Callable[[str], None] = lambda _: None,
        on_change: Callable[[str, bool], object] = lambda *_: None,
    ) -> None:
        self.model_digest, self.logit_scale = model_digest, logit_scale
        self._addresses, self._connect = addresses, connect
        self._on_request, self._on_change = on_request, on_change
        self._lock = threading.Lock()
        self._endpoints: dict[str, _Endpoint] = {}
        self._turns = 0
        self._find()

    @property
    def answering(self) -> bool:
        """Whether a server answered its last request."""
        return any(endpoint.server.answering for endpoint in self._all())

    @property
    def problem(self) -> str:
        """The problem of each server that does not answer."""
        silent = [each for each in self._all() if not each.server.answering]
        return "; ".join(each.server.problem for each in silent)

    def check(self) -> None:
        """Find and check every server. Raises the fault of one when none answers."""
        self._find()
        endpoints = self._all()
        with ThreadPoolExecutor(len(endpoints), "triton-check") as threads:
            faults = list(threads.map(self._check, endpoints))
        if all(faults):
            raise next(fault for fault in faults if fault is not None)

    def free_abandoned_regions(self) -> int:
        """Make every server unmap the regions of killed workers, and return the number of regions."""
        return sum(endpoint.server.free_abandoned_regions() for endpoint in self._all() if endpoint.up)

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length. Raises `EncoderFault`."""
        return self._ask(lambda server: server.encode_images(images))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length. Raises `EncoderFault`."""
        return self._ask(lambda server: server.encode_texts(texts))

    def close(self) -> None:
        """Close every connection."""
        for endpoint in self._all():
            endpoint.close()

    def _ask(self, call: Callable[[Server], AnswerT]) -> AnswerT:
        tried: set[str] = set()
        while True:
            endpoint = self._begin(tried)
            try:
                answer = endpoint.run(call)
            except EncoderFault:
                self._mark(endpoint, up=False)
                tried.add(endpoint.address)
                if all(each.address in tried for each in self._all()):
                    raise
            else:
                self._mark(endpoint, up=True)
                return answer
            finally:
                self._end(endpoint)

    def _begin(self, tried: set[str]) -> _Endpoint:
        """Choose the least busy server: one that answers, or any when none does, since one may answer again."""
        with self._lock:
            fresh = [each for each in self._endpoints.values() if each.address not in tried]
            choice = [each for each in fresh if each.up] or fresh or list(self._endpoints.values())
            endpoint = min(choice, key=lambda each: (each.in_flight, each.turn))
            endpoint.in_flight += 1
            self._turns += 1
            endpoint.turn = self._turns
        self._on_request(endpoint.address)
        return endpoint

    def _end(self, endpoint: _Endpoint) -> None:
        with self._lock:
            endpoint.in_flight -= 1

    def _check(self, endpoint: _Endpoint) -> EncoderFault | RefusedByTriton | None:
        try:
            endpoint.server.check()
        except (EncoderFault, RefusedByTriton) as fault:
            self._mark(endpoint, up=False)
            return fault
        self._mark(endpoint, up=endpoint.server.answering)
        return None

    def _mark(self, endpoint: _Endpoint, *, up: bool) -> None:
        with self._lock:
            changed, endpoint.up = endpoint.up is not up, up
            endpoint.faults += changed and not up
        if changed and up:
            log.info("triton_taken_back", address=endpoint.address)
        elif changed:
            log.warning("triton_left_out", address=endpoint.address)
        if changed:
            self._on_change(endpoint.address, up)

    def _find(self) -> None:
        """Connect to new addresses, and close those that are gone."""
        addresses = self._addresses()
        with self._lock:
            gone = [self._endpoints.pop(each) for each in self._endpoints.keys() - set(addresses)]
            new = [each for each in addresses if each not in self._endpoints]
            for address in new:
                self._endpoints[address] = _Endpoint(address, self._connect(address))
        for address in new:
            self._on_change(address, True)  # noqa: FBT003 -- the state
        for endpoint in gone:
            log.info("triton_gone", address=endpoint.address)
            endpoint.faults += 1
            self._on_change(endpoint.address, False)  # noqa: FBT003 -- the state
            endpoint.close()

    def _all(self) -> list[_Endpoint]:
        with self._lock:
            return list(self._endpoints.values())


def resolver_of(url: str, *, resolved: bool) -> Callable[[], Sequence[str]]:
    """Return a function that finds the addresses behind `url`; with `resolved` false, names stand for themselves."""
    if resolved:
        return partial(addresses_of, url)
    return lambda: [each.strip() for each in url.split(",")]
