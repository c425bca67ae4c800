"""A background process that a later command can find and end, without ending an unrelated process."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from pipeline.errors import StackError

# An environment variable of every process that a part starts.
MARK = "STACK_PART_RECORD"


class BackgroundProcess:
    """One process of the stack, identified by process id and start time: a reused id is not mistaken for it."""

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.log = state / "logs" / f"{name}.out"
        self._record = state / "run" / f"{name}.json"

    def find(self) -> psutil.Process | None:
        """Return the running process, or None."""
        try:
            known = json.loads(self._record.read_text())
            process = psutil.Process(known["pid"])
            alive = process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, json.JSONDecodeError, KeyError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def start(
        self, command: Sequence[str | Path], environment: Mapping[str, str | None], folder: Path
    ) -> psutil.Process:
        """Start it in a new session with its output in `log`. An environment variable that is None is removed."""
        self.end_orphans()
        environment = {**environment, MARK: str(self._record)}
        whole = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
        for path in (self.log, self._record):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A broker's data includes images, so only the user who started it may read the folder.
        folder.chmod(0o700)
        with self.log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 -- the command is this package's own
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=whole,
                cwd=folder,
                start_new_session=True,
            )
        process = psutil.Process(child.pid)
        self._record.write_text(json.dumps({"pid": child.pid, "created": process.create_time()}))
        return process

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Stop it and its children; kill them after `timeout_s`. Return whether it was running."""
        process = self.find()
        if process is not None:
            family = [process, *process.children(recursive=True)]
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
            _, left = psutil.wait_procs(family, timeout=timeout_s)
            _kill(left)
        self.end_orphans()
        self._record.unlink(missing_ok=True)
        return process is not None

    def end_orphans(self) -> int:
        """
        Kill the child processes that a killed process left behind, and return their number.

        A variable in their environment identifies them: it names the record of this part.
        """
        if not self._record.exists() or self.find() is not None:
            return 0
        orphans = [process for process in psutil.process_iter() if _mark_of(process) == str(self._record)]
        _kill(orphans)
        return len(orphans)

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its output."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5.0)


def require_free_port(part: str, port: int, setting: str) -> None:
    """Raise `StackError` when something already listens on a port of this host."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port} for {part} is taken by another process; free it or set WATCHWORD_STACK_{setting}"
            ) from error
