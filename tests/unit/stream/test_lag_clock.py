"""Lag in seconds: from arrivals, from timestamps, and 0 where everything is committed."""

from pipeline.events.records import Origin, Record
from pipeline.stream.lag_clock import MAX_OBSERVED, LagClock


def record(offset: int, timestamp_s: float) -> Record:
    return Record(Origin("images", 0, offset), None, b"", timestamp_ms=int(timestamp_s * 1000))


def test_committed_partitions_have_no_lag() -> None:
    clock = LagClock()
    clock.observe({0: 10, 1: 0}, 100.0)
    assert clock.seconds({0: 10, 1: 0}, 500.0) == {0: 0.0, 1: 0.0}


def test_lag_is_the_time_since_the_oldest_uncommitted_record_was_first_seen() -> None:
    clock = LagClock()
    for second, end in enumerate([10, 20, 30, 40]):
        clock.observe({0: end}, 100.0 + second)
    assert clock.seconds({0: 10}, 110.0) == {0: 9.0}
    assert clock.seconds({0: 25}, 110.0) == {0: 8.0}
    assert clock.seconds({0: 40}, 110.0) == {0: 0.0}


def test_the_first_record_after_a_quiet_night_is_new() -> None:
    clock = LagClock()
    clock.observe({0: 10}, 0.0)
    assert clock.seconds({0: 10}, 1.0) == {0: 0.0}
    clock.observe({0: 11}, 36_000.0)
    assert clock.seconds({0: 10}, 36_002.0) == {0: 2.0}


def test_records_from_before_the_start_have_their_own_timestamp() -> None:
    clock = LagClock()
    clock.observe({0: 1000}, 5000.0)
    clock.polled([record(0, 1400.0), record(1, 1401.0)])
    assert clock.seconds({0: 0}, 5000.0) == {0: 3600.0}
    clock.polled([record(500, 4000.0)])
    assert clock.seconds({0: 500}, 5001.0) == {0: 1001.0}


def test_a_topic_created_again_begins_anew() -> None:
    clock = LagClock()
    clock.observe({0: 1000}, 10.0)
    clock.observe({0: 3}, 20.0)
    assert clock.seconds({0: 0}, 25.0) == {0: 5.0}


def test_a_long_lag_takes_bounded_memory_and_stays_true_to_its_oldest_record() -> None:
    clock = LagClock()
    clock.observe({0: 0}, 0.0)
    for second in range(1, 20 * MAX_OBSERVED):
        clock.observe({0: second * 10}, float(second))
    lag = clock.seconds({0: 0}, 20.0 * MAX_OBSERVED)[0]
    assert 0.95 * 20 * MAX_OBSERVED < lag <= 20 * MAX_OBSERVED
