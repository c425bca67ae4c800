"""SIGTERM and SIGINT: finish what is in work, and end in any case."""

import os
import signal
import sys
import threading
from types import FrameType

import structlog

log = structlog.get_logger()

# Closing connections comes after the drain, and has this much time.
CLOSING_S = 1.0


class Shutdown:
    """
    Ends a worker on SIGTERM or SIGINT, whatever hangs.

    Before `begin_work` nothing has been read, and the process ends at once. From then on the worker is asked to stop,
    and the process ends `deadline_s` later if it has not by itself: what is in work stays uncommitted.
    """

    def __init__(self, deadline_s: float) -> None:
        self.asked = threading.Event()
        self._deadline_s = deadline_s
        self._working = False

    def install(self) -> None:
        """Take the signals over. Called by the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def begin_work(self) -> None:
        """Note that from now on stopping takes a drain."""
        self._working = True
        if self.asked.is_set():
            self._end()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first = not self.asked.is_set()
        self.asked.set()
        if not self._working:
            self._end()
        if first:
            watchdog = threading.Timer(self._deadline_s + CLOSING_S, self._give_up)
            watchdog.daemon = True
            watchdog.start()

    def _give_up(self) -> None:
        log.warning("drain_deadline_passed", deadline_s=self._deadline_s)
        self._end()

    @staticmethod
    def _end() -> None:
        sys.stderr.flush()
        os._exit(0)
