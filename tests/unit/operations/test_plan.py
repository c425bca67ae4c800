"""Arithmetic of `watchword plan`."""

from dataclasses import replace

import pytest

from pipeline.cli.times import duration_of
from pipeline.errors import UsageError
from pipeline.operations.capacity.costs import Costs, costs_of_worker
from pipeline.operations.capacity.plan import CapacityPlan, ChunkLimits, Demand, plan_capacity, service_of
from pipeline.operations.top.changes import Change
from pipeline.telemetry.scrape import MetricsPage, Sample

COSTS = Costs(
    decode_ms=2.0, encode_ms=0.5, judge_ms=0.1, records_ms=0.1, image_bytes=50e3, kafka_ms=0.5, commit_ms=10.0
)
LIMITS = ChunkLimits(256, 32 << 20)


def plan(images_per_s: float = 1000.0, p99_s: float = 1.0, costs: Costs = COSTS) -> CapacityPlan:
    return plan_capacity(costs, Demand(images_per_s, p99_s, 0.5), LIMITS)


def test_cores_and_tritons_are_the_rate_times_the_cost_of_an_image() -> None:
    """At half of each resource: 1000/s × 2 ms is two cores' work, so four are asked for."""
    found = plan()
    assert (found.decode_cores, found.tritons) == (4.0, 1)
    assert plan(5000).tritons == 5


def test_workers_follow_from_the_one_core_that_each_has() -> None:
    """1000/s × 0.7 ms is 0.7 of a core, at half of it 1.4."""
    assert plan().workers == 2
    assert plan(4000).workers == 6


def test_a_quicker_answer_needs_more_workers() -> None:
    quick, slow = plan(4000, 0.09), plan(4000, 1.0)
    assert quick.workers > slow.workers
    assert quick.service.p99_s <= 0.09 < slow.service.p99_s


def test_a_latency_that_an_idle_stream_misses_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"cannot be reached: one image alone has about \d+ ms"):
        plan(p99_s=0.01)


def test_the_first_to_break_has_the_least_reserve() -> None:
    found = plan()
    rates = [each.images_per_s for each in found.reserves]
    assert rates == sorted(rates)
    assert rates[0] >= 1000 / 0.5 - 1, "every resource has the reserve that was asked for"
    assert plan(costs=replace(COSTS, decode_ms=1.9, encode_ms=2.0)).reserves[0].name == "Tritons"


def test_every_worker_has_a_partition_and_their_number_can_double() -> None:
    found = plan(4000)
    assert found.partitions == 2 * found.workers


def test_a_chunk_grows_with_the_rate_up_to_its_limit() -> None:
    quiet, busy = service_of(COSTS, 10, 256, 2, 1), service_of(COSTS, 1500, 256, 2, 1)
    assert quiet.images == 1.0
    assert busy.images == pytest.approx(1500 * 0.01 / 0.1)
    assert service_of(COSTS, 2000, 256, 2, 1).images == 256, "a worker that cannot keep up"
    assert LIMITS.images(1 << 20) == 32


def test_each_result_stands_at_the_end_of_its_arithmetic() -> None:
    results = {step.name: (step.calculation, step.result) for step in plan().steps}
    assert results["decode cores"] == ("1000/s × 2.00 ms ÷ 0.5", "4.0")
    assert results["workers by own CPU"][1] == "2"


def page(taken_s: float, **values: float) -> MetricsPage:
    names = {name: (Sample(name, {"stage": "judge"}, value),) for name, value in values.items()}
    return MetricsPage(taken_s, names)


def test_costs_of_a_worker_are_differences_between_two_pages() -> None:
    after = page(
        10,
        watchword_verdicts_total=1000,
        watchword_commit_duration_seconds_count=50,
        watchword_commit_duration_seconds_sum=1.1,
        watchword_batch_images_sum=1000,
        watchword_encoder_request_duration_seconds_sum=4,
        watchword_stage_duration_seconds_sum=0.2,
        process_cpu_seconds_total=0.9,
    )
    found = costs_of_worker(COSTS, Change(page(0), after))
    assert (found.encode_ms, found.decode_ms) == (4.0, 2.0)
    assert found.judge_ms == pytest.approx(0.2)
    assert found.own_ms == pytest.approx(0.9)
    assert found.commit_ms == pytest.approx(22 - 20 * 0.1)


def test_a_worker_that_judges_nothing_shows_no_costs() -> None:
    with pytest.raises(UsageError, match="judged nothing within 10 s"):
        costs_of_worker(COSTS, Change(page(0), page(10)))


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5)])
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert duration_of(text, "--p99") == seconds


@pytest.mark.parametrize("text", ["500", "0ms", "-1s", "fast"])
def test_a_duration_without_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--p99"):
        duration_of(text, "--p99")
