"""Circuit breaker by host: one silent server must not hold up every fetching thread."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.ingest.deadline import Clock

FAILURES = 5
OPEN_S = 30.0
HOSTS = 1000


class HostLeftAlone(Exception):
    """No request is sent to a host for a while, because it failed several times in a row."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    open_until: float = 0.0
    on_trial: bool = False


class HostBreaker:
    """
    Circuit breaker that counts the consecutive failures of each host. Several threads may call it.

    After `failures` failures in a row, no request is sent to the host for `open_s`. Then one thread at a time may try
    it, until it answers. The breaker remembers the last `hosts` hosts that failed.
    """

    def __init__(self, clock: Clock, *, failures: int = FAILURES, open_s: float = OPEN_S, hosts: int = HOSTS) -> None:
        self._clock = clock
        self._failures = failures
        self._open_s = open_s
        self._hosts = hosts
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def enter(self, host: str) -> None:
        """
        Note the start of a call to a host. Raises `HostLeftAlone` if no request may be sent to it now.

        The caller must report the end of the call with `succeeded`, `failed` or `left`.
        """
        with self._lock:
            record = self._records.get(host)
            if record is None or record.failures < self._failures:
                return
            if record.on_trial or self._clock() < record.open_until:
                raise HostLeftAlone(f"`{host}` failed {record.failures} times in a row and is left alone for a while")
            record.on_trial = True

    def succeeded(self, host: str) -> None:
        """Note a successful call, which clears the failures of the host."""
        with self._lock:
            self._records.pop(host, None)

    def failed(self, host: str) -> None:
        """Note a failed call."""
        with self._lock:
            record = self._records.setdefault(host, _Record())
            self._records.move_to_end(host)
            record.failures += 1
            record.on_trial = False
            record.open_until = self._clock() + self._open_s
            while len(self._records) > self._hosts:
                self._records.popitem(last=False)

    def left(self, host: str) -> None:
        """Note the end of a call that is evidence neither of success nor of failure of the host."""
        with self._lock:
            if record := self._records.get(host):
                record.on_trial = False


@dataclass(slots=True)
class _Visit:
    seconds: float = 0.0
    answered: bool = False


@dataclass(slots=True)
class Trail:
    """
    The hosts contacted for one reference, and the host to blame if the fetch fails.

    If the fetch took `slow_s` or more, the slowest host is to blame for any kind of failure, because a slow redirect
    must not count against its target. Otherwise, only a host that could not be reached is to blame.
    """

    breaker: HostBreaker
    clock: Clock
    slow_s: float
    _here: str | None = None
    _unreachable: str | None = None
    _visits: dict[str, _Visit] = field(default_factory=dict)

    @contextmanager
    def at(self, host: str) -> Iterator[None]:
        """Count the duration of the context as time spent with a host. Raises `HostLeftAlone`."""
        if host not in self._visits:
            self.breaker.enter(host)
        self._here = host
        visit = self._visits.setdefault(host, _Visit())
        begun = self.clock()
        try:
            yield
        finally:
            visit.seconds += self.clock() - begun

    def answered(self) -> None:
        """Note that the current host answered with a response head."""
        if self._here is not None:
            self._visits[self._here].answered = True
        self._unreachable = None

    def unreachable(self) -> None:
        """Note that the current host could not be reached, or closed the connection."""
        self._unreachable = self._here

    @contextmanager
    def settled(self) -> Iterator["Trail"]:
        """At the end of the context, report to the breaker how each host did."""
        blamed = None
        try:
            yield self
        except BaseException:
            blamed = self._blamed()
            raise
        finally:
            for host, visit in self._visits.items():
                self._tell(host, visit, blamed=host == blamed)

    def _blamed(self) -> str | None:
        slow = sum(visit.seconds for visit in self._visits.values()) >= self.slow_s
        longest = max(self._visits, key=lambda host: self._visits[host].seconds, default=None)
        return longest if slow else self._unreachable

    def _tell(self, host: str, visit: _Visit, *, blamed: bool) -> None:
        if blamed:
            self.breaker.failed(host)
        elif visit.answered:
            self.breaker.succeeded(host)
        else:
            self.breaker.left(host)
