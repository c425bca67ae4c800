"""A background process that a later command can find again, and end without ending a stranger."""

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

# Handed on to every process that a part starts.
MARK = "STACK_PART_RECORD"


class BackgroundProcess:
    """One process of the stack: known by its id and start time, so that a reused id is not mistaken for it."""

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
        """Start it in a session of its own, its output in `log`; a variable that is None is not handed on."""
        self.end_orphans()
        environment = {**environment, MARK: str(self._record)}
        whole = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
        for place in (self.log, self._record):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What a broker keeps, images among it, is for whoever started it alone.
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
        """End it and its children, by force after `timeout_s`. Returns whether it was running."""
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
        End by force what a process that was killed has left behind, and return the number of processes.

        They are known by a variable of their environment that names this part's own record.
        """
        if not self._record.exists() or self.find() is not None:
            return 0
        orphans = [process for process in psutil.process_iter() if _mark_of(process) == str(self._record)]
        _kill(orphans)
        return len(orphans)

    def tail(self, lines: int = 15) -> str:
        """Return the end of its output."""
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
