"""Stop signals, by which an operator or a terminal ends a long-running command."""

import signal
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_stop(act: Callable[[], object], signals: tuple[signal.Signals, ...] = STOP_SIGNALS) -> None:
    """Call `act` in the main thread each time a stop signal arrives. Called by the main thread."""
    for number in signals:
        signal.signal(number, lambda *_: act())
