"""Watches: threads that check dependencies, so that an idle worker notices a fault too."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from pipeline.broker.lag import Seen
from pipeline.errors import DependencyFault, UsageError

log = structlog.get_logger()

TICK_S = 1.0
ENCODER_S = 3.0
DRIFT_S = 10.0


class Broker(Protocol):
    """
    The broker, asked about topics.

    `look` returns the ends of the first topic and the names of missing ones. It raises `BrokerFault` soon when the
    broker does not answer.
    """

    def look(self, topics: Sequence[str]) -> Seen: ...

    def close(self) -> None: ...


class Watch:
    """Repeats an action in a separate thread until stopped. The action itself records a dependency's fault."""

    def __init__(self, name: str, action: Callable[[], object], interval_s: float) -> None:
        self._action = action
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the watch to end, without waiting for a call that hangs."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._action()
            except DependencyFault as fault:
                log.debug("watch_unanswered", watch=self._thread.name, fault=str(fault))
            except UsageError as error:
                # A password or certificate in rotation, or a right taken away: said each time, and tried again.
                log.warning("watch_refused", watch=self._thread.name, problem=str(error))
            except Exception:
                # A watch that ended would leave its last result in place for ever.
                log.exception("watch_failed", watch=self._thread.name)
            self._stopping.wait(self._interval_s)


class BrokerWatch:
    """The ends of the input topic (the first of `topics`), the missing topics, and the time of the last answer."""

    def __init__(self, broker: Broker, topics: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.ends: Mapping[int, int] = {}
        self.missing: frozenset[str] = frozenset()
        self._broker, self._topics = broker, topics
        self._clock = clock
        self._answered_at = clock()

    def look(self) -> None:
        """Ask once. Raises `BrokerFault`."""
        seen = self._broker.look(self._topics)
        if seen.missing - self.missing:
            log.error("topics_missing", topics=sorted(seen.missing))
        self.ends, self.missing = seen.ends, seen.missing
        self._answered_at = self._clock()

    def silent_s(self) -> float:
        """Return seconds since the broker last answered."""
        return self._clock() - self._answered_at

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()
