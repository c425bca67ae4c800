"""A chain of stages, a thread each, that work on chunks in order and drop what has become stale."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import structlog

from pipeline.errors import DependencyFault
from pipeline.stream.retry import Backoff

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the chain. `work` maps what the stage before made to what the next one takes."""

    name: str
    work: Callable[[Any], Any]


class StageChain:
    """
    Carries chunks through stages in order.

    Every chunk belongs to an epoch. `invalidate` ends the epoch: chunks in work are dropped where they are, and none is
    taken until `begin`. A dependency's fault is tried again until it passes or the chunk is stale; any other exception
    of a stage stops the chain and is raised to the owner by `raise_failure`.
    """

    def __init__(
        self, stages: Sequence[Stage], *, capacity: int, backoff: Backoff, on_retry: Callable[[str], None]
    ) -> None:
        self._stages = stages
        self._queues: list[SimpleQueue[tuple[int, Any] | None]] = [SimpleQueue() for _ in stages]
        self._capacity = capacity
        self.build_backoff = backoff
        self._on_retry = on_retry
        self._changed = threading.Condition()
        self._epoch = 0
        self._open = False
        self._in_work = 0
        self._offered: deque[float] = deque()
        self._waiting = 0
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(place,), name=f"stage-{stage.name}", daemon=True)
            for place, stage in enumerate(stages)
        ]

    def start(self) -> None:
        """Start the stages' threads."""
        for thread in self._threads:
            thread.start()

    @property
    def open(self) -> bool:
        """Whether chunks are taken: true from `begin` to `invalidate`."""
        return self._open

    @property
    def epoch(self) -> int:
        """The number of the current epoch."""
        return self._epoch

    @property
    def in_flight(self) -> int:
        """Chunks that were offered and are neither committed nor dropped."""
        return self._in_work

    @property
    def waits_for_dependency(self) -> bool:
        """Whether a dependency's fault is being tried again at this moment."""
        return self._waiting > 0

    def oldest_s(self) -> float:
        """Return the age of the oldest chunk in work, in seconds; 0 when there is none."""
        with self._changed:
            return time.monotonic() - self._offered[0] if self._offered else 0.0

    def waiting(self) -> dict[str, int]:
        """Return how many chunks wait in front of each stage."""
        return {stage.name: queue.qsize() for stage, queue in zip(self._stages, self._queues, strict=True)}

    def begin(self) -> None:
        """Open a new epoch. The chain must be empty."""
        with self._changed:
            assert not self._in_work
            self._epoch += 1
            self._open = True

    def invalidate(self) -> None:
        """End the epoch. Any thread may call it."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def offer(self, item: Any) -> None:
        """Put a chunk on the chain, at the first stage."""
        with self._changed:
            self._in_work += 1
            self._offered.append(time.monotonic())
            epoch = self._epoch
        self._queues[0].put((epoch, item))

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until another chunk may be offered, or the epoch ended; returns whether there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_work < self._capacity or self._interrupted(), timeout_s)
            return self._in_work < self._capacity

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until nothing is in work; returns whether that came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_work or self._failure is not None, timeout_s)

    def raise_failure(self) -> None:
        """Raise what stopped the chain, if anything did."""
        if self._failure is not None:
            raise self._failure

    def retry_until_stale(self, epoch: int, dependent: Callable[[], Any]) -> Any:
        """
        Call a function that depends on a server until it does not raise `DependencyFault`.

        Returns None once nobody waits for the answer any more: the epoch ended or the chain is closing.
        """
        pauses = self.build_backoff.pauses()
        failed = False
        try:
            while not self._stale(epoch):
                try:
                    return dependent()
                except DependencyFault as fault:
                    pause_s = next(pauses)
                    self._on_retry(type(fault).__name__)
                    log.warning("dependency failed, trying again", fault=str(fault), pause_s=pause_s)
                with self._changed:
                    self._waiting += not failed
                    failed = True
                    self._changed.wait_for(lambda: self._stale(epoch), pause_s)
        finally:
            if failed:
                with self._changed:
                    self._waiting -= 1
        return None

    def close(self) -> None:
        """Stop the stages; chunks still in work are dropped, uncommitted."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _run(self, place: int) -> None:
        stage, last = self._stages[place], place + 1 == len(self._stages)
        while (entry := self._queues[place].get()) is not None:
            epoch, item = entry
            try:
                made = None if self._stale(epoch) else stage.work(item)
            except BaseException as error:  # noqa: BLE001 -- handed to the owner, which crashes with it
                self._fail(stage, error)
                return
            if last or made is None:
                self._leave()
            else:
                self._queues[place + 1].put((epoch, made))

    def _stale(self, epoch: int) -> bool:
        return not self._open or epoch != self._epoch

    def _interrupted(self) -> bool:
        return not self._open or self._failure is not None

    def _leave(self) -> None:
        with self._changed:
            self._in_work -= 1
            self._offered.popleft()
            self._changed.notify_all()

    def _fail(self, stage: Stage, error: BaseException) -> None:
        with self._changed:
            error.add_note(f"in the stage `{stage.name}`")
            self._failure = self._failure or error
            self._open = False
            self._changed.notify_all()
