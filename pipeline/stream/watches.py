"""Threads beside the loop that ask dependencies how they are, so that an idle worker knows it too."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from pipeline.errors import DependencyFault

log = structlog.get_logger()

TURN_S = 1.0
ENCODER_S = 3.0
# The topics are asked for in one of so many turns.
TOPIC_TURNS = 3


class Broker(Protocol):
    """The broker's own word. Both raise `BrokerFault`, soon when it does not answer."""

    def ends(self, topic: str) -> dict[int, int]: ...

    def topics(self) -> frozenset[str]: ...

    def close(self) -> None: ...


class Watch:
    """Repeats an action in a thread of its own until stopped. A dependency's fault is the action's own to note."""

    def __init__(self, name: str, action: Callable[[], object], interval_s: float) -> None:
        self._action = action
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; a call that hangs is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._action()
            except DependencyFault as fault:
                log.debug("watch_unanswered", watch=self._thread.name, fault=str(fault))
            except Exception:
                # A watch that ends would leave its last word standing for ever.
                log.exception("watch_failed", watch=self._thread.name)
            self._stopping.wait(self._interval_s)


class BrokerWatch:
    """Where the input ends, which topics are missing, and when the broker last answered."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        needed: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ends: Mapping[int, int] = {}
        self.missing: frozenset[str] = frozenset()
        self._broker, self._topic = broker, topic
        self._needed = frozenset(needed)
        self._clock = clock
        self._answered_at = clock()
        self._turn = 0

    def look(self) -> None:
        """Ask once. Raises `BrokerFault`."""
        if self._turn % TOPIC_TURNS == 0:
            missing = self._needed - self._broker.topics()
            if missing - self.missing:
                log.error("topics_missing", topics=sorted(missing))
            self.missing = missing
        self._turn += 1
        if self._topic not in self.missing:
            self.ends = self._broker.ends(self._topic)
        self._answered_at = self._clock()

    def silent_s(self) -> float:
        """Return seconds since the broker last answered."""
        return self._clock() - self._answered_at

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()
