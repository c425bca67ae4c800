"""Start, status and stop of the local stack."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import StackError
from pipeline.stack.kafka import KafkaPart
from pipeline.stack.part import Part
from pipeline.stack.triton import TritonPart
from pipeline.stack_settings import StackSettings

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """The status of one part. `state` is `ready`, `starting` or `down`."""

    name: str
    state: str
    address: str
    pid: int | None
    memory_mib: int | None


def stack_parts(settings: StackSettings) -> tuple[Part, ...]:
    """Return the parts in their start order."""
    return KafkaPart(settings), TritonPart(settings)


def install(parts: Sequence[Part], say: Say) -> None:
    """Install the parts that are missing on this machine. Raises `StackError`."""
    for part in parts:
        if not part.installed():
            say(f"{part.name}: installing (once)")
            part.install()


def up(parts: Sequence[Part], say: Say, timeout_s: float) -> None:
    """
    Start the parts that are not running, and wait until all are ready.

    Raises `StackError` when a port is taken, or a part ends early or is not ready in time. Parts that were started keep
    running, for `logs` and `down`.
    """
    install(parts, say)
    waiting = []
    for part in parts:
        if part.process.find() is None:
            part.start()
            say(f"{part.name}: starting")
        waiting.append(part)
    started = time.monotonic()
    while waiting:
        part = waiting[0]
        if part.ready():
            say(f"{part.name}: ready at {part.address}, {time.monotonic() - started:.1f} s")
            waiting.pop(0)
        elif part.process.find() is None:
            raise StackError(f"{part.name} ended while starting; the end of {part.process.log}:\n{part.process.tail()}")
        elif time.monotonic() - started > timeout_s:
            raise StackError(f"{part.name} is not ready after {timeout_s:.0f} s; see {part.process.log}")
        else:
            time.sleep(0.1)


def status(parts: Sequence[Part]) -> list[PartStatus]:
    """Return the status of each part."""
    return [_status(part) for part in parts]


def down(parts: Sequence[Part], say: Say) -> None:
    """Stop the running parts, in reverse order."""
    for part in reversed(parts):
        say(f"{part.name}: {'stopped' if part.process.stop() else 'was not running'}")


def _status(part: Part) -> PartStatus:
    process = part.process.find()
    if process is None:
        return PartStatus(part.name, "down", part.address, None, None)
    state = "ready" if part.ready() else "starting"
    return PartStatus(part.name, state, part.address, process.pid, process.memory_info().rss >> 20)
