"""Circuit breaker for hosts that keep failing."""

from contextlib import suppress

import pytest

from pipeline.ingest.breaker import HostBreaker, HostLeftAlone, Trail


class Failed(Exception):
    """A reference was not fetched."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock, host: str = "h:80") -> HostBreaker:
    breaker = HostBreaker(clock)
    for _ in range(5):
        breaker.enter(host)
        breaker.failed(host)
    return breaker


def test_five_failures_in_a_row_block_a_host_for_thirty_seconds() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 29.9
    with pytest.raises(HostLeftAlone, match="`h:80` failed 5 times"):
        breaker.enter("h:80")
    breaker.enter("other:80")


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = HostBreaker(Clock())
    for _ in range(3):
        for _ in range(4):
            breaker.failed("h:80")
        breaker.succeeded("h:80")
    breaker.enter("h:80")


def test_one_trial_at_a_time_decides_what_comes_next() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 31.0
    breaker.enter("h:80")
    with pytest.raises(HostLeftAlone):
        breaker.enter("h:80")
    breaker.failed("h:80")
    clock.now = 60.0
    with pytest.raises(HostLeftAlone):
        breaker.enter("h:80")
    clock.now = 62.0
    breaker.enter("h:80")
    breaker.left("h:80")  # this trial said nothing, so the next one may come at once
    breaker.enter("h:80")
    breaker.succeeded("h:80")
    breaker.enter("h:80")
    breaker.enter("h:80")


def test_a_bounded_number_of_hosts_is_remembered() -> None:
    breaker = HostBreaker(Clock(), hosts=10)
    for number in range(100):
        breaker.failed(f"h{number}:80")
    assert len(breaker) == 10


def fail(breaker: HostBreaker, clock: Clock, *visits: tuple[str, float, bool]) -> None:
    """Fail a reference that spent these seconds at these hosts; each host answered or did not."""
    with suppress(Failed), Trail(breaker, clock, slow_s=5.0).settled() as trail:
        for host, seconds, answers in visits:
            with trail.at(host):
                clock.now += seconds
                if answers:
                    trail.answered()
        raise Failed


def closed(breaker: HostBreaker, host: str) -> bool:
    try:
        breaker.enter(host)
    except HostLeftAlone:
        return True
    breaker.left(host)
    return False


def test_a_slow_redirect_does_not_block_its_target() -> None:
    clock = Clock()
    breaker = HostBreaker(clock)
    for _ in range(5):
        fail(breaker, clock, ("slow:80", 9.0, True), ("good:80", 1.0, False))
    assert closed(breaker, "slow:80")
    assert not closed(breaker, "good:80")


def test_a_quick_refusal_by_a_host_that_answers_is_no_failure() -> None:
    clock = Clock()
    breaker = HostBreaker(clock)
    for _ in range(10):
        fail(breaker, clock, ("h:80", 0.1, True))
    assert not closed(breaker, "h:80")


def test_an_unreachable_host_fails_at_once() -> None:
    clock = Clock()
    breaker = HostBreaker(clock)
    for _ in range(5):
        with suppress(Failed), Trail(breaker, clock, slow_s=5.0).settled() as trail:
            with trail.at("h:80"):
                trail.unreachable()
            raise Failed
    assert closed(breaker, "h:80")


def test_a_reference_that_was_fetched_ends_a_trial() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 31.0
    trail = Trail(breaker, clock, slow_s=5.0)
    with trail.settled(), trail.at("h:80"):
        trail.answered()
    assert not closed(breaker, "h:80")
    assert len(breaker) == 0
