"""Dashboards ask a real Prometheus questions that it can answer; a planted fault pages, shows, and resolves."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.operate.monitoring import DEPLOY
from tests.operate.observed import Observed, observed
from tests.operate.questions import BUILD, POLICY, expressions, filled
from tests.support.stream import Stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def watched(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A stream with photographs, a few broken records, and decisions about some flags."""
    with observed(stack, tmp_path_factory.mktemp("observed")) as watched:
        with watched.flowing():
            wait_until(lambda: len(watched.flag_ids()) > watched.DECIDED, 60, "flags")
            watched.decide()
            for metric in ("watchword_decided_precision", "watchword_score_drift"):
                told = f'{metric}{{policy="{POLICY}"}}'
                wait_until(lambda asked=told: bool(watched.monitoring.ask(asked)), 60, told)  # type: ignore[misc]
        yield watched


def test_the_committed_dashboards_are_what_the_code_gives() -> None:
    for board in BUILD.BOARDS:
        committed = (DEPLOY / f"grafana/dashboards/{board.uid}.json").read_text()
        assert committed == BUILD.document(board), "run `make dashboards`"
    assert len(list((DEPLOY / "grafana/dashboards").iterdir())) == len(BUILD.BOARDS)


def test_panels_are_described_and_link_to_the_runbook() -> None:
    runbook = (DEPLOY.parent / "docs/runbook.md").read_text()
    for board in BUILD.BOARDS:
        for panel in board.panels:
            assert panel.text.endswith("."), panel.title
            assert not panel.runbook or f"\n## {panel.runbook}\n" in runbook, panel.title


def test_every_panel_has_a_data_source_and_ids_for_its_queries() -> None:
    for board in BUILD.BOARDS:
        text = BUILD.document(board)
        assert text.count('"refId"') >= sum(len(panel.queries) for panel in board.panels)
        assert '"uid": "prometheus"' in text


def test_every_panel_of_a_healthy_run_has_data(watched: Observed) -> None:
    empty = [name for name, expr in expressions(fault=False).items() if not watched.monitoring.ask(expr)]
    assert empty == []


def test_no_alert_about_a_fault_fires_in_health(watched: Observed) -> None:
    """Those about latency and shares may, on a machine that tests load and with windows of seconds."""
    shares = re.compile("Watchword(Slow|Unjudged|FlagRateJump|PolicySilent|LagGrowing)")
    assert [alert for _, alert in watched.monitoring.pager.sent if not shares.match(alert)] == []


def test_a_spoiled_model_and_a_lost_server_page_show_and_resolve(watched: Observed) -> None:
    """A model that answers wrong, then no server at all; afterwards the stream goes on by itself."""
    pager, at = watched.monitoring.pager, len(watched.monitoring.pager.sent)
    with watched.flowing():
        watched.switch.touch()
        pager.wait_for("firing", "WatchwordProbeFailing", 40, at)
        watched.switch.unlink()
        pager.wait_for("resolved", "WatchwordProbeFailing", 40, at)
        watched.server.kill()
        pager.wait_for("firing", "WatchwordTritonAway", 40, at)
        shown = expressions(fault=True)
        faults = [name for name in shown if re.search("Failing probes|Encoder errors|Retries", name)]
        assert [name for name in faults if not watched.monitoring.ask(shown[name])] == []
        watched.server.serve_again()
        pager.wait_for("resolved", "WatchwordTritonAway", 60, at)
        committed = watched.stream.committed()
        wait_until(lambda: watched.stream.committed() > committed, 30, "the stream to go on")


def test_every_expression_parses(watched: Observed) -> None:
    """Those of faults and of a GPU too, which a healthy run without one has no data for."""
    for board in BUILD.BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                watched.monitoring.ask_range(filled(query.expr), time.time() - 30, time.time(), 5)
