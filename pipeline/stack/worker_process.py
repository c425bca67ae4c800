"""Workers as processes of this machine, for the demo and the proofs."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

COMMAND = (sys.executable, "-m", "pipeline", "run")


class WorkerProcess:
    """One `watchword run`, with its log in a file."""

    def __init__(
        self, instance_id: str, log: Path, environment: Mapping[str, str], command: tuple[str, ...] = COMMAND
    ) -> None:
        self.instance_id = instance_id
        self.log = log
        self._environment = {**os.environ, **environment, "WATCHWORD_INSTANCE_ID": instance_id}
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running worker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it, or start it again."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- this package's own command
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment
            )
        return self

    def running(self) -> bool:
        """Tell whether it is still running."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self) -> int | None:
        """Return its exit code, or None if it has not ended."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end and return the exit code. Raises `subprocess.TimeoutExpired`."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """Kill it at once, even if it is stopped by a signal."""
        if self.running():
            self.signal(signal.SIGKILL)
            self.wait(10)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
