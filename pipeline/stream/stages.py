"""Stages of work on chunks. Each has one thread; the chain keeps the order of chunks and drops stale ones."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import structlog

from pipeline.errors import DependencyFault, WatchwordError
from pipeline.retry import Abandoned, Backoff, Retry

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Stage:
    """
    One step of the chain: `work` maps an item from the previous stage to the item for the next one.

    `work` raises `Abandoned` for a chunk that is stale. Only the last stage may return None.
    """

    name: str
    work: Callable[[Any], Any]


class StageChain:
    """
    Carries chunks through stages in order.

    Every chunk belongs to an epoch. `invalidate` ends the epoch: chunks in flight are dropped where they are, and none
    is accepted until `begin`. A dependency's fault is retried until it passes or the chunk is stale. Any other
    exception of a stage, and an item that a stage lost, stops the chain; `raise_failure` raises it to the owner.
    `on_drop` is given each item that leaves the chain before the end, and the cause: an exception, or `Abandoned`.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        capacity: int,
        backoff: Backoff,
        on_retry: Callable[[str], None],
        on_drop: Callable[[Any, BaseException], object] = lambda *_: None,
    ) -> None:
        self._stages = stages
        self._queues: list[SimpleQueue[tuple[int, Any] | None]] = [SimpleQueue() for _ in stages]
        self._capacity = capacity
        self._backoff = backoff
        self._on_retry, self._on_drop = on_retry, on_drop
        self._changed = threading.Condition()
        self._epoch = 0
        self._open = False
        self._in_flight = 0
        self._offered: deque[float] = deque()
        self._retrying = 0
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=f"stage-{stage.name}", daemon=True)
            for index, stage in enumerate(stages)
        ]

    def start(self) -> None:
        """Start the stages' threads."""
        for thread in self._threads:
            thread.start()

    @property
    def open(self) -> bool:
        """Whether chunks are accepted: true from `begin` to `invalidate`."""
        return self._open

    @property
    def epoch(self) -> int:
        """The number of the current epoch."""
        return self._epoch

    @property
    def in_flight(self) -> int:
        """The number of chunks that were offered and are neither committed nor dropped."""
        return self._in_flight

    @property
    def waits_for_dependency(self) -> bool:
        """Whether a dependency's fault is being retried at this moment."""
        return self._retrying > 0

    def oldest_s(self) -> float:
        """Return the age of the oldest chunk in flight, in seconds; 0 when there is none."""
        with self._changed:
            return time.monotonic() - self._offered[0] if self._offered else 0.0

    def waiting(self) -> dict[str, int]:
        """Return the number of chunks that wait in front of each stage."""
        return {stage.name: queue.qsize() for stage, queue in zip(self._stages, self._queues, strict=True)}

    def begin(self) -> None:
        """Open a new epoch. The chain must be empty."""
        with self._changed:
            assert not self._in_flight
            self._epoch += 1
            self._open = True

    def invalidate(self) -> None:
        """End the epoch. Any thread may call it."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def offer(self, item: Any) -> None:
        """Hand a chunk to the first stage."""
        with self._changed:
            self._in_flight += 1
            self._offered.append(time.monotonic())
            epoch = self._epoch
        self._queues[0].put((epoch, item))

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until another chunk may be offered or the epoch ends; return whether there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < self._capacity or self._interrupted(), timeout_s)
            return self._in_flight < self._capacity

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until no chunk is in flight; return whether this happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_flight or self._failure is not None, timeout_s)

    def raise_failure(self) -> None:
        """Raise the exception that stopped the chain, if there is one."""
        if self._failure is not None:
            raise self._failure

    def retry_until_stale(
        self,
        epoch: int,
        dependent: Callable[[], AnswerT],
        on_fault: Callable[[WatchwordError], object] = lambda _: None,
    ) -> AnswerT:
        """
        Return the answer of a function that depends on a server, called until it raises no `DependencyFault`.

        `on_fault` is given each fault. Raises `Abandoned` once the epoch has ended or the chain is closing.
        """
        with self._counted() as count:

            def report(fault: WatchwordError, pause_s: float) -> None:
                count()
                on_fault(fault)
                self._on_retry(type(fault).__name__)
                log.warning("dependency_failed", fault=str(fault), pause_s=pause_s)

            retry = Retry(self._backoff, lambda pause_s: self._wait_while_current(epoch, pause_s), report)
            return retry.call(dependent, DependencyFault, lambda: self._stale(epoch))

    def close(self) -> None:
        """Stop the stages; chunks still in flight are dropped, uncommitted."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0)

    @contextmanager
    def _counted(self) -> Iterator[Callable[[], None]]:
        """Yield a function that counts this call as retrying, until the context ends."""
        counted = False

        def count() -> None:
            nonlocal counted
            with self._changed:
                self._retrying += not counted
                counted = True

        try:
            yield count
        finally:
            if counted:
                with self._changed:
                    self._retrying -= 1

    def _wait_while_current(self, epoch: int, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stale(epoch), timeout_s)

    def _run(self, index: int) -> None:
        while (entry := self._queues[index].get()) is not None:
            try:
                self._pass_on(index, *entry)
            except BaseException as error:  # noqa: BLE001 -- handed to the owner, which crashes with it
                self._fail(self._stages[index], error)
                self._on_drop(entry[1], error)
                return

    def _pass_on(self, index: int, epoch: int, item: Any) -> None:
        """Run the stage on one item, and pass the result to the next stage."""
        try:
            abandoned, made = self._stale(epoch), None
            if not abandoned:
                made = self._stages[index].work(item)
        except Abandoned:
            abandoned = True
        if abandoned:
            self._on_drop(item, Abandoned())
        if abandoned or index + 1 == len(self._stages):
            self._leave()
        elif made is None:
            raise TypeError("returned nothing for the next stage; a stale chunk is `Abandoned`")
        else:
            self._queues[index + 1].put((epoch, made))

    def _stale(self, epoch: int) -> bool:
        return not self._open or epoch != self._epoch

    def _interrupted(self) -> bool:
        return not self._open or self._failure is not None

    def _leave(self) -> None:
        with self._changed:
            self._in_flight -= 1
            self._offered.popleft()
            self._changed.notify_all()

    def _fail(self, stage: Stage, error: BaseException) -> None:
        with self._changed:
            error.add_note(f"in the stage `{stage.name}`")
            self._failure = self._failure or error
            self._open = False
            self._changed.notify_all()
