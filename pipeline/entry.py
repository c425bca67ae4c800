"""Entry point of every command. SIGTERM is handled before the modules of a worker are loaded."""

import os
import signal
import sys

from pipeline.signals import on_stop

_WORKING = "run"


def _leave() -> None:
    """End at once, because nothing has been read yet."""
    os._exit(0)


def main() -> None:
    """Run the command line."""
    if _WORKING in sys.argv[1:3]:
        on_stop(_leave, (signal.SIGTERM,))
    from pipeline.cli.main import main as run_command  # noqa: PLC0415 -- loading it takes longer than a signal may wait

    run_command()
