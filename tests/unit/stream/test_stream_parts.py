"""Parts that the stream's guarantees rest on, each tested alone."""

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from pipeline.errors import CommitAborted, DeadLetterLimit, EncoderFault
from pipeline.events.chunks import Span
from pipeline.retry import Backoff
from pipeline.stack.kafka import cluster_id
from pipeline.stream.dead_letter_breaker import DeadLetterBreaker
from pipeline.stream.offset_ledger import OffsetLedger
from pipeline.stream.stages import Stage, StageChain
from tests.support.waiting import wait_until


def chain(*stages: Stage, capacity: int = 10, retries: list[str] | None = None) -> StageChain:
    noted = retries if retries is not None else []
    made = StageChain(stages, capacity=capacity, backoff=Backoff(0.01, 0.02), on_retry=noted.append)
    made.start()
    return made


def test_a_chunk_must_start_where_the_last_commit_ended() -> None:
    ledger = OffsetLedger()
    ledger.begin({0: 5, 1: 0})
    ledger.check([Span(0, 5, 9), Span(1, 0, 3)])
    ledger.advance([Span(0, 5, 9), Span(1, 0, 3)])
    ledger.check([Span(0, 9, 10)])
    for span in (Span(0, 5, 9), Span(0, 10, 11), Span(2, 0, 1)):
        with pytest.raises(CommitAborted):
            ledger.check([span])


def test_the_gate_opens_and_closes_with_its_window() -> None:
    now = [0.0]
    gate = DeadLetterBreaker(share=0.5, window_s=60, minimum=10, override=False, clock=lambda: now[0])
    gate.check(9, 9)
    gate.note(100, 9)
    gate.check(20, 20)
    gate.note(20, 20)
    with pytest.raises(DeadLetterLimit, match="WATCHWORD_ALLOW_DEAD_LETTERS"):
        gate.check(100, 100)
    now[0] = 61.0
    gate.check(100, 50)


def test_the_override_lets_everything_through() -> None:
    DeadLetterBreaker(share=0.1, window_s=60, minimum=1, override=True, clock=lambda: 0.0).check(100, 100)


def test_chunks_come_out_in_order_through_every_stage() -> None:
    out: list[int] = []
    line = chain(Stage("double", lambda n: n * 2), Stage("collect", out.append))
    line.begin()
    for n in range(50):
        line.offer(n)
    assert line.wait_until_empty(5)
    assert out == [n * 2 for n in range(50)]
    line.close()


def test_after_an_invalidation_no_chunk_of_the_old_epoch_comes_out() -> None:
    """Chunks in flight are dropped; chunks of the next epoch pass."""
    gate, out = threading.Event(), list[int]()

    def hold(n: int) -> int:
        gate.wait(5)
        return n

    line = chain(Stage("hold", hold), Stage("collect", out.append))
    line.begin()
    for n in range(5):
        line.offer(n)
    line.invalidate()
    gate.set()
    assert line.wait_until_empty(5)
    assert out == []
    line.begin()
    line.offer(9)
    assert line.wait_until_empty(5)
    assert out == [9]
    line.close()


def test_a_dependency_is_tried_again_until_it_answers() -> None:
    answers: Iterator[EncoderFault | int] = iter([EncoderFault("away"), EncoderFault("away"), 7])
    retries, out = list[str](), list[int]()

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, EncoderFault):
            raise answer
        return answer

    line = chain(
        Stage("ask", lambda _: line.retry_until_stale(line.epoch, ask)), Stage("collect", out.append), retries=retries
    )
    line.begin()
    line.offer(0)
    assert line.wait_until_empty(5)
    assert (out, retries) == ([7], ["EncoderFault", "EncoderFault"])
    line.close()


def test_nobody_waits_for_a_dependency_once_the_chunk_is_stale() -> None:
    def away() -> None:
        raise EncoderFault("away")

    line = chain(Stage("ask", lambda _: line.retry_until_stale(line.epoch, away)))
    line.begin()
    line.offer(0)
    line.invalidate()
    assert line.wait_until_empty(5)
    line.close()


def test_an_item_lost_by_a_stage_stops_the_chain() -> None:
    """A chunk without an outcome must never count as stale."""
    out = list[int]()
    line = chain(Stage("forgetful", lambda _: None), Stage("collect", out.append))
    line.begin()
    line.offer(0)
    wait_until(lambda: not line.open, 5, "the chain to stop")
    with pytest.raises(TypeError, match="returned nothing for the next stage"):
        line.raise_failure()
    assert out == []
    line.close()


def test_a_stages_own_fault_reaches_the_owner_and_stops_the_chain() -> None:
    def broken(_: int) -> None:
        raise ZeroDivisionError

    line = chain(Stage("broken", broken))
    line.begin()
    line.offer(0)
    wait_until(lambda: not line.open, 5, "the chain to stop")
    with pytest.raises(ZeroDivisionError) as caught:
        line.raise_failure()
    assert caught.value.__notes__ == ["in the stage `broken`"]
    line.close()


def test_chunks_are_accepted_until_the_capacity_is_in_flight() -> None:
    gate = threading.Event()
    line = chain(Stage("hold", lambda _: gate.wait(5)), capacity=2)
    line.begin()
    assert line.wait_for_room(0)
    line.offer(1)
    line.offer(2)
    assert not line.wait_for_room(0.01)
    gate.set()
    assert line.wait_for_room(5)
    line.close()


def test_a_cluster_id_never_looks_like_an_option() -> None:
    """One id in 64 would begin with a dash."""
    assert not any(cluster_id().startswith("-") for _ in range(1000))


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(Backoff(0.2, 1.0).pauses(), 5)) == [0.2, 0.4, 0.8, 1.0, 1.0]
