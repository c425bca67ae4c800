"""Snapshots of `watchword top`: rates from two pages, and what does not answer."""

import io
import math

import pytest
from rich.console import Console

from pipeline.broker.lag import PartitionLag
from pipeline.cli.stream.top_output import frame
from pipeline.errors import UsageError, WorkerFault
from pipeline.events.records import Origin, Record
from pipeline.operations.stream.lag import GroupLag
from pipeline.operations.top.changes import Change, quantile
from pipeline.operations.top.readings import BrokerReading, WorkerReading, worker_address
from pipeline.operations.top.snapshot import Snapshot, snapshot_of
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.scrape import MetricsPage, parse_metrics, read_metrics
from tests.support.ports import free_ports

LAG = GroupLag("g", "images", (PartitionLag(0, 5, 0, 9), PartitionLag(1, 1, 0, 9)))
FLAG = b'{"time": "2026-11-25T10:00:00Z", "policy": {"id": "weapons"}, "score": 1.5, "event": {"id": "e1"}}'


def page(metrics: Metrics, at_s: float) -> MetricsPage:
    return parse_metrics(metrics.render()[1].decode(), at_s)


def two_pages() -> tuple[MetricsPage, MetricsPage]:
    """A worker's metrics, and those 10 s and 50 verdicts later."""
    metrics = Metrics()
    metrics.verdicts.labels("current").inc(100)
    metrics.flags.labels("weapons", "enforce", "current").inc(7)
    before = page(metrics, 0)
    metrics.records.inc(60)
    metrics.verdicts.labels("current").inc(50)
    metrics.flags.labels("weapons", "enforce", "current").inc(5)
    metrics.flags.labels("skins", "shadow", "current").inc(20)
    metrics.dead_letters.labels("empty").inc(10)
    for _ in range(5):
        metrics.stage_seconds.labels("encode").observe(1.5)
    metrics.latency_seconds.observe(0.2)
    metrics.partitions.set(4)
    metrics.probe_up.set(1)
    metrics.probe_known.set(1)
    return before, page(metrics, 10)


def snapshot() -> Snapshot:
    before, after = two_pages()
    flag = Record(Origin("flags", 0, 1), None, FLAG, (), 0)
    return snapshot_of(
        [WorkerReading("a:1", before), WorkerReading("b:1", problem="down")],
        [WorkerReading("a:1", after, ("model",)), WorkerReading("b:1", problem="down")],
        BrokerReading(LAG, (flag,)),
    )


def test_rates_are_differences_by_time() -> None:
    found = snapshot()
    assert (found.interval_s, found.rates.verdicts, found.rates.records) == (10, 5.0, 6.0)
    assert found.rates.dead_letters == 1.0
    assert [(each.name, each.per_s, each.total, each.kind) for each in found.policies] == [
        ("skins", 2.0, 20, "shadow"),
        ("weapons", 0.5, 12, "enforce"),
    ]
    assert [(each.name, each.total) for each in found.dead_letters] == [("empty", 10)]


def test_a_stage_has_its_mean_and_its_share_of_the_time() -> None:
    encode = next(each for each in snapshot().stages if each.name == "encode")
    assert encode.seconds_per_chunk == pytest.approx(1.5)
    assert encode.busy == pytest.approx(0.75)


def test_each_worker_has_a_state() -> None:
    assert [(each.address, each.state, each.problem) for each in snapshot().workers] == [
        ("a:1", "not ready: model", ""),
        ("b:1", "no answer", "down"),
    ]


def test_a_counter_that_fell_has_restarted() -> None:
    before, after = two_pages()
    assert Change(after, before).increase("watchword_verdicts_total") == 100


def test_a_quantile_lies_within_its_bucket() -> None:
    assert quantile(0.5, [{0.1: 0, 0.2: 10, math.inf: 10}]) == pytest.approx(0.15)
    assert quantile(0.99, [{0.1: 0, 0.2: 0, math.inf: 10}]) == 0.2, "above the last bound"
    assert quantile(0.5, [{0.1: 0, math.inf: 0}]) is None


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_frame_fits_a_terminal_without_colour(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(frame(snapshot()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    for word in ("lag      12 records", "weapons", "dead"):
        assert word in text


def test_a_page_of_something_else_is_a_fault() -> None:
    with pytest.raises(WorkerFault, match="cannot be read"):
        parse_metrics("<html>\n", 0)


def test_an_address_nobody_answers_is_a_fault_and_one_without_a_port_a_mistake() -> None:
    [port] = free_ports(1)
    with pytest.raises(WorkerFault, match="does not answer"):
        read_metrics(f"127.0.0.1:{port}", timeout_s=1)
    with pytest.raises(UsageError, match="host:port"):
        read_metrics("worker", timeout_s=1)


def test_the_default_worker_is_the_one_of_this_machine() -> None:
    settings = Settings()
    assert worker_address(settings) == "127.0.0.1:9464"
    assert worker_address(settings.model_copy(update={"http_host": "0.0.0.0"})) == "127.0.0.1:9464"
    with pytest.raises(UsageError, match="--worker"):
        worker_address(settings.model_copy(update={"http_port": 0}))
