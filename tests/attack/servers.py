"""
Hostile HTTP servers on loopback: each fetch ends by its deadline, with bytes or a `RecordFault`, in bounded memory.

`python -m tests.attack.servers [--quick]`; exit 1 when a bar fails. `--quick` shortens the deadline.
"""

import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.errors import RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.deadline import LOOKUPS
from pipeline.ingest.fetch import Fetcher, FetchRules
from tests.attack.behaviours import BEHAVIOURS, Behaviour
from tests.attack.hostile import Server, certificate, server_tls
from tests.attack.loopback import only_loopback

SLACK_S = 1.0  # past the deadline, on a busy machine
MEMORY_SLACK = 2 << 20
LIMIT = 1 << 20
MEASURED_LIMIT = 10 << 20
AT_ONCE = 10


@dataclass(frozen=True)
class Outcome:
    """How a fetch ended: `ended` is `bytes`, a reason of the closed list, or an exception that must not leave."""

    name: str
    ended: str
    detail: str
    seconds: float
    peak_bytes: int = 0


class Range:
    """Fetches from one server a behaviour."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._certificate = folder / "hostile.pem"
        self._client_tls = certificate(self._certificate, "images.example")
        self.timeout_s = timeout_s

    def fetch(self, behaviour: Behaviour, limit: int = LIMIT) -> Outcome:
        """Fetch with a separate fetcher, once or as often as the behaviour requires."""
        tls = server_tls(self._certificate, tickets=behaviour.tickets) if behaviour.tls else None
        with Server(behaviour.script, tls=tls, silent=behaviour.silent, accepts=behaviour.accepts) as server:
            scheme = "https" if behaviour.tls or behaviour.asks_tls else "http"
            uri = f"{scheme}://{behaviour.host}:{server.port}/image"
            return self._timed(behaviour, uri, limit)

    def _timed(self, behaviour: Behaviour, uri: str, limit: int) -> Outcome:
        rules = FetchRules(max_bytes=limit, timeout_s=self.timeout_s, allow_loopback=True, ports=())
        with closing(Fetcher(rules, resolve=behaviour.resolve, tls=self._client_tls)) as fetcher:
            for _ in range(behaviour.times - 1):
                _ended(fetcher, uri)
            begun = time.monotonic()
            ended, detail = _ended(fetcher, uri)
            return Outcome(behaviour.name, ended, detail, time.monotonic() - begun)

    def measured(self, behaviour: Behaviour) -> Outcome:
        """Fetch once at the default limit, alone, with memory traced."""
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            found = self.fetch(behaviour, MEASURED_LIMIT)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        return Outcome(found.name, found.ended, found.detail, found.seconds, peak)


def attack_servers(quick: bool = False, say: Callable[[str], object] = print) -> bool:  # noqa: FBT001, FBT002 -- as called by `tests.attack`
    """Fetch from every server; tell whether every bar held."""
    failures: list[str] = []
    threads, begun = threading.active_count(), time.monotonic()
    rss = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder, only_loopback() as escapes:
        firing = Range(Path(folder), 0.8 if quick else 2.0)
        outcomes = list(_outcomes(firing))
        grown = psutil.Process().memory_info().rss - rss
        measured = [firing.measured(each) for each in BEHAVIOURS if each.measured]
        wanted = {each.name: each.wanted for each in BEHAVIOURS}
        for outcome in (*outcomes, *measured):
            failures += _faults(outcome, wanted[outcome.name], firing.timeout_s)
        failures += [f"connected to {place}" for place in escapes.taken()]
    left = threading.active_count() - threads
    if left > LOOKUPS:
        failures.append(f"{left} threads left behind")
    counts = Counter(outcome.ended for outcome in outcomes)
    for ended, count in sorted(counts.items()):
        say(f"{ended:20} {count:4} servers")
    slowest = max(outcomes, key=lambda each: each.seconds)
    hungriest = max(measured, key=lambda each: each.peak_bytes)
    say(f"slowest              {slowest.seconds:.2f} s of {firing.timeout_s} s: {slowest.name}")
    say(f"most memory          {hungriest.peak_bytes / 2**20:.2f} MiB at a limit of 10 MiB: {hungriest.name}")
    say(f"resident growth      {grown / 2**20:.0f} MiB over the run, {AT_ONCE} fetches of 1 MiB at a time")
    say(f"threads left         {left}, look-ups among them")
    for each in failures:
        say(f"FAILED {each}")
    took = time.monotonic() - begun
    say(f"{len(outcomes)} servers, {len(measured)} measured again, {len(failures)} failures, {took:.0f} s")
    return not failures


def _outcomes(firing: Range) -> Iterator[Outcome]:
    """Fetch from all servers, those that keep a core busy one at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(firing.fetch, [each for each in BEHAVIOURS if not each.busy])
    yield from map(firing.fetch, [each for each in BEHAVIOURS if each.busy])


def _ended(fetcher: Fetcher, uri: str) -> tuple[str, str]:
    try:
        content = fetcher.fetch(Reference(uri))
    except RecordFault as error:
        return error.reason.value, error.detail
    except BaseException as error:  # noqa: BLE001 -- what escapes is what this looks for
        return type(error).__name__, repr(error)
    return "bytes", f"{len(content)} bytes"


def _faults(outcome: Outcome, wanted: str, timeout_s: float) -> Iterator[str]:
    if outcome.ended not in wanted.split():
        yield f"{outcome.name}: {outcome.ended} ({outcome.detail[:300]}), expected {wanted}"
    if outcome.seconds > timeout_s + SLACK_S:
        yield f"{outcome.name}: ended after {outcome.seconds:.2f} s"
    if not outcome.detail.isprintable() or len(outcome.detail) > 1000:
        yield f"{outcome.name}: detail {outcome.detail!r}"
    if outcome.peak_bytes > MEASURED_LIMIT + MEMORY_SLACK:
        yield f"{outcome.name}: took {outcome.peak_bytes / 2**20:.1f} MiB"


if __name__ == "__main__":
    sys.exit(0 if attack_servers("--quick" in sys.argv) else 1)
