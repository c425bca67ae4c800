"""Workers that are killed, stopped, added and removed while a stream flows; outcomes are counted at the end."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.broker.producer import transactional_id
from pipeline.evaluation.delivery.delivery_check import DeliveryCheck
from pipeline.stack.worker_process import COMMAND, WorkerProcess
from tests.support.stream import Stream
from tests.support.transactions import transactions
from tests.support.waiting import wait_until

Say = Callable[[str], None]

SETTLE_S = 240.0
LOT = 25


@dataclass(frozen=True)
class Plan:
    """
    How much happens. `open_kills` of the `kills` must have hit a transaction that was open.

    More than `records` are sent when they run out before everything has happened.
    """

    records: int
    kills: int
    open_kills: int
    stops: int
    visits: int
    stop_s: float
    pause_s: float = 2.0
    seed: int = 1


@dataclass
class Toll:
    """Numbers of the events that happened."""

    kills: int = 0
    open_kills: int = 0
    stops: int = 0
    visits: int = 0
    sent: int = 0
    seconds: float = 0.0
    audit: DeliveryCheck | None = None
    ended: list[str] = field(default_factory=list)

    def line(self) -> str:
        assert self.audit is not None
        return (
            f"{self.kills} kills ({self.open_kills} with an open transaction), {self.stops} stops past the session, "
            f"{self.visits} workers joined and left, {self.seconds:.0f} s: {self.audit.summary()}"
        )


class Chaos:
    """Runs a plan on a stream with two resident workers. `command` may start a worker that is broken on purpose."""

    def __init__(
        self, stream: Stream, images: list[bytes], plan: Plan, say: Say, command: tuple[str, ...] = COMMAND
    ) -> None:
        self._stream = stream
        self._images = images
        self._plan = plan
        self._say = say
        self._command = command
        self._random = random.Random(plan.seed)
        self._clock = threading.Event()
        self._toll = Toll()

    def run(self) -> Toll:
        """Run the plan, let the stream come to its end, and count."""
        started = time.monotonic()
        residents = [self._stream.worker(self._command) for _ in range(2)]
        events = ["kill"] * self._plan.kills + ["stop"] * self._plan.stops + ["visit"] * self._plan.visits
        self._random.shuffle(events)
        with self._feeding():
            wait_until(lambda: self._stream.committed() > 0, 60, "the first commit")
            for event in events:
                self._clock.wait(self._plan.pause_s * self._random.random())
                getattr(self, f"_{event}")(self._random.choice(residents))
                self._look_after(residents)
            while self._toll.open_kills < self._plan.open_kills and self._toll.kills < 5 * self._plan.kills:
                self._kill(self._random.choice(residents))
                self._clock.wait(self._plan.pause_s)
                self._look_after(residents)
        self._settle(residents)
        self._toll.seconds = time.monotonic() - started
        self._toll.audit = self._stream.audit()
        return self._toll

    @contextmanager
    def _feeding(self) -> Iterator[None]:
        """Send the plan's records in small lots, and more of them until all has happened: the stream never runs dry."""
        over = threading.Event()

        def feed() -> None:
            while self._toll.sent < self._plan.records or not over.is_set():
                lot = range(self._toll.sent, self._toll.sent + LOT)
                self._stream.send(self._stream.image(f"image-{n}", self._images[n % len(self._images)]) for n in lot)
                self._toll.sent += LOT
                over.wait(LOT * self._spread_s() / self._plan.records)

        feeder = threading.Thread(target=feed, name="feeder")
        feeder.start()
        try:
            yield
        finally:
            over.set()
            feeder.join()

    def _spread_s(self) -> float:
        plan = self._plan
        return plan.kills * (plan.pause_s + 2) + plan.stops * (plan.stop_s + plan.pause_s) + plan.visits * 6

    def _kill(self, worker: WorkerProcess) -> None:
        """SIGKILL, at a moment when the worker's transaction is open if one comes soon, and start it again."""
        name = transactional_id(self._stream.settings.group_id, worker.instance_id)
        with transactions(self._stream.stack.bootstrap_servers) as last:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and not last(name).open:
                pass
            worker.kill()
            was_open = last(name).open
        self._toll.kills += 1
        self._toll.open_kills += was_open
        self._say(f"killed {worker.instance_id}{' with an open transaction' if was_open else ''}")
        worker.start()

    def _stop(self, worker: WorkerProcess) -> None:
        """SIGSTOP for longer than the session lasts, then SIGCONT: a zombie that believes it still owns something."""
        if not worker.running():
            return
        worker.signal(signal.SIGSTOP)
        self._clock.wait(self._plan.stop_s)
        worker.signal(signal.SIGCONT)
        self._toll.stops += 1
        self._say(f"stopped {worker.instance_id} for {self._plan.stop_s:.0f} s")

    def _visit(self, _: WorkerProcess) -> None:
        """A worker joins, works a little, and leaves in order."""
        visitor = self._stream.worker(self._command)
        wait_until(lambda: "rewound" in visitor.tail(200), 40, "the visitor's assignment")
        self._clock.wait(1.0)
        visitor.signal(signal.SIGTERM)
        visitor.wait(40)
        self._toll.visits += 1
        self._say(f"{visitor.instance_id} joined and left")

    def _look_after(self, residents: list[WorkerProcess]) -> None:
        """Restart workers that exited on their own, as a supervisor would, and remember the reason."""
        for worker in residents:
            if not worker.running():
                self._toll.ended.append(f"{worker.instance_id} ended with {worker.exit_code()}: {worker.tail(3)}")
                self._say(self._toll.ended[-1])
                worker.start()

    def _settle(self, residents: list[WorkerProcess]) -> None:
        deadline = time.monotonic() + SETTLE_S
        while (committed := self._stream.committed()) < self._toll.sent:
            if time.monotonic() > deadline:
                logs = "\n".join(worker.tail(20) for worker in residents)
                raise TimeoutError(f"{committed} of {self._toll.sent} records committed:\n{logs}")
            self._look_after(residents)
            self._clock.wait(1.0)
        # Transactions of killed workers that nobody restarted must have timed out before readers see everything.
        self._clock.wait(2.0)
