"""Shutdown on SIGTERM and SIGINT: finish the chunks in flight, and end in any case."""

import os
import sys
import threading

import structlog

from pipeline.signals import on_stop

log = structlog.get_logger()

# Time for closing connections after the drain, and for leaving the group.
CLOSING_S = 1.0
LEAVING_S = 5.0


class Shutdown:
    """
    Ends a worker on SIGTERM or SIGINT, even if a part of it hangs.

    Before `begin_work`, nothing has been read and the process ends at once. Afterwards the worker is asked to stop. If
    it has not ended `deadline_s` and `closing_s` later, the process ends, and the chunks in flight stay uncommitted.
    """

    def __init__(self, deadline_s: float, closing_s: float = CLOSING_S) -> None:
        self.asked = threading.Event()
        self._deadline_s, self._closing_s = deadline_s, closing_s
        self._working = False

    def install(self) -> None:
        """Handle the signals from now on. Called by the main thread."""
        on_stop(self._on_signal)

    def begin_work(self) -> None:
        """Note that from now on a stop must drain the chunks in flight first."""
        self._working = True
        if self.asked.is_set():
            self._end()

    def _on_signal(self) -> None:
        first = not self.asked.is_set()
        self.asked.set()
        if not self._working:
            self._end()
        if first:
            watchdog = threading.Timer(self._deadline_s + self._closing_s, self._give_up)
            watchdog.daemon = True
            watchdog.start()

    def _give_up(self) -> None:
        log.warning("drain_deadline_passed", deadline_s=self._deadline_s)
        self._end()

    @staticmethod
    def _end() -> None:
        sys.stderr.flush()
        os._exit(0)
