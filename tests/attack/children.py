"""Attacks run one after another, each in a separate child process with limits on memory, CPU time and wall time."""

import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

MOST_CPU_S = 2.0
MOST_MEGABYTES = 200
_KILLED_AT_CPU_S = 8
_KILLED_AT_WALL_S = 30.0
_KILLED_AT_MEGABYTES = 1500

# Writes what is hostile to a folder, and returns what a user then does with it.
Make = Callable[[Path], Callable[[], object]]


@dataclass(frozen=True)
class Attack:
    """
    Something hostile or mistyped.

    `refused`: whether it must be: None for what may be taken, such as a folder that is odd and in fact fine.
    """

    name: str
    make: Make
    refused: bool | None = True


@dataclass(frozen=True)
class Outcome:
    """Result of an attack. `ending`: `refused`, `taken`, or a description of the failure."""

    attack: Attack
    ending: str
    message: str
    cpu_s: float
    megabytes: float

    def failure(self, right: Callable[[str], bool]) -> str | None:
        """Return the requirement that the result fails; `right` tells whether an error message is as required."""
        if self.ending not in {"refused", "taken"}:
            return self.ending
        if self.attack.refused is not None and self.attack.refused != (self.ending == "refused"):
            return f"{self.ending}: {self.message[:200]}"
        if self.ending == "refused" and not right(self.message):
            return f"a message without its place: {self.message[:300]}"
        if self.cpu_s > MOST_CPU_S:
            return f"{self.cpu_s:.2f} s of processor time"
        return f"{self.megabytes:.0f} MB" if self.megabytes > MOST_MEGABYTES else None


def run_attack(attack: Attack, refusal: type[Exception]) -> Outcome:
    """Run one attack in a child process; `refusal` is the only exception that it may raise."""
    with TemporaryDirectory(prefix="attack-") as folder:
        place = Path(folder) / "given"
        place.mkdir()
        act = attack.make(place)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _suffer(act, refusal, writing)
        os.close(writing)
        told = _listen(reading, child)
        _, status = os.waitpid(child, 0)
    if told is None:
        return Outcome(attack, _end(status), "", float(_KILLED_AT_CPU_S), 0.0)
    return Outcome(attack, told["ending"], told["message"], told["cpu_s"], told["megabytes"])


def run_attacks(
    title: str,
    attacks: Sequence[Attack],
    refusal: type[Exception],
    say: Callable[[str], None],
    right: Callable[[str], bool] = lambda _: True,
) -> bool:
    """Run attacks, print one line for all of them and one for each failure, and tell whether there was none."""
    outcomes = [run_attack(attack, refusal) for attack in attacks]
    failures = [(each, failure) for each in outcomes if (failure := each.failure(right))]
    endings = [each.ending for each in outcomes]
    slowest, largest = max(outcomes, key=lambda each: each.cpu_s), max(outcomes, key=lambda each: each.megabytes)
    say(
        f"{title:16} {len(outcomes):4}  refused {endings.count('refused'):4}  taken {endings.count('taken'):3}  "
        f"failed {len(failures):3}  most {slowest.cpu_s:5.2f} s ({slowest.attack.name}), "
        f"{largest.megabytes:4.0f} MB ({largest.attack.name})"
    )
    for outcome, failure in failures:
        say(f"  FAILED {outcome.attack.name}: {failure}")
    return not failures


def _suffer(act: Callable[[], object], refusal: type[Exception], writing: int) -> NoReturn:
    """Run the attack in this child, report its result to the parent, and exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is logged on the way
    size = _resident_bytes("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (size + (_KILLED_AT_MEGABYTES << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (_KILLED_AT_CPU_S, _KILLED_AT_CPU_S + 1))
    before, started = _resident_bytes("VmRSS"), time.process_time()
    message = ""
    try:
        act()
        ending = "taken"
    except refusal as error:
        ending, message = "refused", str(error)
    except BaseException as error:  # noqa: BLE001 -- told as what it is: a failure
        where = traceback.extract_tb(error.__traceback__)[-1]
        ending = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:200]}"
    told = {
        "ending": ending,
        "message": message.encode(errors="backslashreplace").decode()[:20_000],
        "cpu_s": time.process_time() - started,
        "megabytes": max(0, _resident_bytes("VmHWM") - before) / (1 << 20),
    }
    os.write(writing, json.dumps(told).encode()[: 60 << 10])
    os._exit(0)


def _listen(reading: int, child: int) -> dict[str, Any] | None:
    """Return a child's report; None when it exits without one, or is killed because it takes too long."""
    told, deadline = b"", time.monotonic() + _KILLED_AT_WALL_S
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(child, signal.SIGKILL)
                return None
            block = pipe.read(1 << 16)
            if not block:
                break
            told += block
    found: dict[str, Any] | None = json.loads(told) if told else None
    return found


def _resident_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


def _end(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit {os.WEXITSTATUS(status)}"
