"""Deadline of a reference, against slow servers and resolvers."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pipeline.errors import DeadLetterReason, RecordFault
from pipeline.events.records import Reference
from pipeline.ingest.deadline import CurrentDeadline, Deadline, DeadlinePassed, Lookups
from pipeline.ingest.fetch import Fetcher, FetchRules
from tests.attack.behaviours import BEHAVIOURS, Behaviour
from tests.attack.hostile import Server, reply
from tests.attack.loopback import only_loopback

TIMEOUT_S = 0.3
SLOW = [
    each
    for each in BEHAVIOURS
    if each.name
    in {
        "never accepts",
        "silent after accept",
        "head by byte",
        "100 by byte",
        "body by byte, quick",
        "chunk extension by byte",
        "slow redirects",
        "slow name",
        "TLS: silent",
        "TLS: handshake by byte",
    }
]


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    with only_loopback():
        yield


@pytest.mark.parametrize("behaviour", SLOW, ids=lambda each: each.name)
def test_a_reference_fails_by_its_deadline_on_any_slow_server(behaviour: Behaviour) -> None:
    rules = FetchRules(timeout_s=TIMEOUT_S, allow_loopback=True)
    with (
        Server(behaviour.script, silent=behaviour.silent, accepts=behaviour.accepts) as server,
        closing(Fetcher(rules, resolve=behaviour.resolve)) as fetcher,
    ):
        scheme = "https" if behaviour.asks_tls else "http"
        begun = time.monotonic()
        with pytest.raises(RecordFault) as caught:
            fetcher.fetch(Reference(f"{scheme}://{behaviour.host}:{server.port}/"))
        assert time.monotonic() - begun < TIMEOUT_S + 1
    assert caught.value.reason is DeadLetterReason.FETCH_FAILED
    assert "0.3 s" in caught.value.detail


def test_every_slow_behaviour_has_a_case() -> None:
    assert len(SLOW) == 10


def test_the_deadline_is_over_all_tries_and_pauses() -> None:
    """Each try takes a second of wall time, so 2.5 s allow two of the five tries."""
    now, asked = [0.0], []

    def busy(head: bytes) -> Iterator[bytes | float]:
        asked.append(head)
        now[0] += 1.0
        yield reply(b"", status=b"503 Busy")

    def pause(seconds: float) -> None:
        now[0] += seconds

    rules = FetchRules(timeout_s=2.5, tries=5, allow_loopback=True)
    with (
        Server(busy) as server,
        closing(Fetcher(rules, clock=lambda: now[0], pause=pause)) as fetcher,
        pytest.raises(RecordFault),
    ):
        fetcher.fetch(Reference(f"http://127.0.0.1:{server.port}/"))
    assert len(asked) == 2


def test_the_next_address_is_tried_when_one_refuses() -> None:
    rules = FetchRules(allow_loopback=True)
    with (
        Server(lambda head: iter([reply(b"image")])) as server,
        closing(Fetcher(rules, resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])) as fetcher,
    ):
        assert fetcher.fetch(Reference(f"http://images.example:{server.port}/")) == b"image"


def test_hanging_look_ups_are_bounded_and_release_their_slots() -> None:
    go, begun = threading.Event(), threading.Semaphore(0)

    def hang(host: str, port: int) -> list[str]:
        begun.release()
        go.wait(10)
        return ["93.184.216.34"]

    lookups = Lookups(hang, limit=2)
    for _ in range(3):
        with pytest.raises(DeadlinePassed):
            lookups.find("h", 80, lambda: 0.02)
    assert begun.acquire(timeout=5)
    assert begun.acquire(timeout=5)
    assert not begun.acquire(blocking=False)  # the third found no room
    go.set()
    assert lookups.find("h", 80, lambda: 5.0) == ["93.184.216.34"]


def test_an_error_of_a_look_up_reaches_its_caller() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise UnicodeError("label too long")

    with pytest.raises(UnicodeError):
        Lookups(fail).find("h", 80, lambda: 5.0)


def test_a_deadline_holds_for_the_thread_that_set_it() -> None:
    current, seen = CurrentDeadline(), []

    def look(expected: Callable[[], float]) -> None:
        try:
            seen.append(expected())
        except DeadlinePassed:
            seen.append(0.0)

    with current.of(Deadline(3.0, lambda: 1.0)):
        other = threading.Thread(target=look, args=(current.left,))
        other.start()
        other.join()
        look(current.left)
    assert seen == [0.0, 2.0]
