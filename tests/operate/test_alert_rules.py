"""Every alert fires for its fault, stays quiet for what is near it, and resolves when the fault ends."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package apart

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
TARGET = 'cluster="c",group="g",instance="w0"'

# Minutes: an hour of health before, the fault, and health after.
BEFORE, FAULT, AFTER = 120, 90, 180


@dataclass(frozen=True)
class Gauge:
    """A gauge: its value in health and in the fault, and a value near it that must not fire."""

    name: str
    health: float | None
    fault: float | None
    near: float | None
    labels: str = TARGET

    def values(self, kind: str) -> str:
        middle = self.near if kind == "near" else self.fault
        return " ".join(
            f"{'_' if value is None else value}x{minutes - 1}"
            for value, minutes in ((self.health, BEFORE), (middle, FAULT), (self.health, AFTER))
        )


@dataclass(frozen=True)
class Counter:
    """A counter: its growth a minute in health, in the fault, and near it."""

    name: str
    health: float
    fault: float
    near: float
    labels: str = TARGET

    def values(self, kind: str) -> str:
        middle = self.near if kind == "near" else self.fault
        at, parts = 0.0, []
        for growth, minutes in ((self.health, BEFORE), (middle, FAULT), (self.health, AFTER)):
            parts.append(f"{at}+{growth}x{minutes - 1}")
            at += growth * minutes
        return " ".join(parts)


@dataclass(frozen=True)
class Age:
    """A time in Unix seconds that stands still during the fault, or for a short while near it."""

    name: str
    near_minutes: int
    labels: str = TARGET

    def values(self, kind: str) -> str:
        still = self.near_minutes if kind == "near" else FAULT
        begin, end = BEFORE * 60, (BEFORE + still) * 60
        return f"0+60x{BEFORE - 1} {begin}x{still - 1} {end}+60x{FAULT - still + AFTER - 1}"


@dataclass(frozen=True)
class Case:
    """The series of an alert, minutes into the fault at which it fires, and minutes after it by when it is gone."""

    series: tuple[Any, ...]
    fires: int = 60
    gone: int = 60
    labels: dict[str, str] = field(default_factory=lambda: {"cluster": "c", "group": "g"})


POLICY = f'{TARGET},policy="p"'
FLAGGED = f'{POLICY},set="current",mode="enforce"'
BY_POLICY = {"cluster": "c", "group": "g", "policy": "p"}
BY_INSTANCE = {"cluster": "c", "group": "g", "instance": "w0"}
JOB = f'job="watchword",{TARGET}'


def _latency(share_slow: float) -> float:
    """Return images within 5 s of 1000 a minute."""
    return 1000 * (1 - share_slow)


def slow(fault: float, near: float) -> tuple[Counter, ...]:
    bucket = "watchword_end_to_end_latency_seconds_bucket"
    return (
        Counter(bucket, _latency(0.001), _latency(fault), _latency(near), f'{TARGET},le="5.0"'),
        Counter("watchword_end_to_end_latency_seconds_count", 1000, 1000, 1000),
    )


def unjudged(fault: float, near: float) -> tuple[Counter, ...]:
    verdicts = f'{TARGET},set="current"'
    return (
        Counter("watchword_dead_letters_total", 0, 1000 * fault, 1000 * near, f'{TARGET},reason="corrupt_image"'),
        Counter("watchword_verdicts_total", 1000, 1000 * (1 - fault), 1000 * (1 - near), verdicts),
    )


CASES: dict[str, Case] = {
    "WatchwordNoData": Case((Gauge("up", 1, 0, 1, JOB),), labels={}),
    "WatchwordWorkerDown": Case((Gauge("up", 1, 0, 1, JOB),), labels={"job": "watchword", **BY_INSTANCE}),
    "WatchwordStalled": Case((Gauge("watchword_seconds_without_progress", 0, 300, 40),)),
    "WatchwordLagGrowing": Case(
        (
            Gauge("watchword_consumer_lag_seconds", 0, 400, 30, f'{TARGET},partition="0"'),
            Counter("watchword_consumer_lag_records", 0, 500, 500, f'{TARGET},partition="0"'),
            Counter("watchword_verdicts_total", 1000, 1000, 1000, f'{TARGET},set="current"'),
        )
    ),
    "WatchwordDeadLetters": Case(unjudged(0.3, 0.05)),
    "WatchwordRecordsMissed": Case((Counter("watchword_records_missed_total", 0, 10, 0),)),
    "WatchwordFencingLoop": Case((Counter("watchword_fencings_total", 0, 1, 0.06),)),
    "WatchwordCommitsAborted": Case((Counter("watchword_commits_aborted_total", 0, 2, 0.4, f'{TARGET},cause="x"'),)),
    "WatchwordBrokerAway": Case((Counter("watchword_retries_total", 0, 6, 0.5, f'{TARGET},dependency="broker"'),)),
    "WatchwordSlowFast": Case(slow(0.4, 0.05)),
    "WatchwordSlowSteadily": Case(slow(0.4, 0.02), fires=85, gone=120),
    "WatchwordUnjudgedFast": Case(unjudged(0.2, 0.02)),
    "WatchwordUnjudgedSteadily": Case(unjudged(0.2, 0.01), fires=85, gone=120),
    "WatchwordTritonAway": Case((Counter("watchword_encoder_errors_total", 0, 12, 1, f'{TARGET},kind="rpc"'),)),
    "WatchwordTritonQueue": Case(
        (
            Counter("nv_inference_queue_duration_us", 1e6, 9e8, 2e7, 'cluster="c",model="clip_image",version="1"'),
            Counter("nv_inference_request_success", 1000, 1000, 1000, 'cluster="c",model="clip_image",version="1"'),
        ),
        labels={"cluster": "c", "model": "clip_image"},
    ),
    "WatchwordProbeFailing": Case((Gauge("watchword_probe_up", 1, 0, 1),)),
    "WatchwordProbesMissing": Case((Gauge("watchword_probe_known", 1, 0, 1),)),
    "WatchwordProbesStopped": Case(
        (Age("watchword_probe_run_timestamp_seconds", 10), Gauge("watchword_probe_known", 1, 1, 1)), labels=BY_INSTANCE
    ),
    "WatchwordPolicySetStale": Case((Age("watchword_policy_source_read_timestamp_seconds", 4),)),
    "WatchwordPolicySetsDiffer": Case(
        (
            Gauge("watchword_build_info", 1, 1, 1, f'{TARGET},set="current",policy_set="a"'),
            Gauge("watchword_build_info", None, 1, None, f'{TARGET},set="current",policy_set="b"'),
        )
    ),
    "WatchwordPolicySetRejected": Case((Counter("watchword_policy_sets_refused_total", 0, 1, 0),)),
    "WatchwordFlagRateJump": Case(
        (
            Counter("watchword_flags_total", 10, 300, 30, FLAGGED),
            Counter("watchword_score_count", 1000, 1000, 1000, POLICY),
        ),
        fires=25,
        labels=BY_POLICY,
    ),
    "WatchwordPolicySilent": Case(
        (
            Counter("watchword_flags_total", 10, 0, 1, FLAGGED),
            Counter("watchword_score_count", 1000, 1000, 1000, POLICY),
        ),
        labels=BY_POLICY,
    ),
    "WatchwordScoreDrift": Case((Gauge("watchword_score_drift", 0.02, 0.6, 0.15, POLICY),), 75, labels=BY_POLICY),
    "WatchwordEmbeddingDrift": Case((Gauge("watchword_embedding_drift", 0.02, 0.6, 0.15),), 75),
    "WatchwordCalibrationStale": Case((Gauge("watchword_policies_stale", 0, 2, 0),), 75),
}


def alerts() -> dict[str, dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_the_rules_and_configurations() -> None:
    promtool("check", "rules", *map(str, RULES))
    promtool("check", "config", "--syntax-only", str(DEPLOY / "prometheus/prometheus.yaml"))
    subprocess.run(["amtool", "check-config", str(DEPLOY / "prometheus/alertmanager.yaml")], check=True)


def test_every_alert_has_a_case() -> None:
    assert CASES.keys() == alerts().keys()


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_stays_quiet_and_resolves(alert: str, tmp_path: Path) -> None:
    case, rule = CASES[alert], alerts()[alert]
    labels = {"alertname": alert, "alertstate": "firing", **case.labels, **rule["labels"]}
    firing = ",".join(f'{name}="{value}"' for name, value in labels.items())
    tests = []
    for kind in ("fault", "near"):
        series = [{"series": f"{each.name}{{{each.labels}}}", "values": each.values(kind)} for each in case.series]
        moments = {BEFORE: False, BEFORE + case.fires: kind == "fault", BEFORE + FAULT + case.gone: False}
        tests.append(
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": f"count(ALERTS{{{firing}}}) or vector(0)",
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": int(fires)}],
                    }
                    for minute, fires in moments.items()
                ],
            }
        )
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(path) for path in RULES], "tests": tests}))
    promtool("test", "rules", str(file))
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_links_to_its_section_of_the_runbook() -> None:
    runbook = (DEPLOY.parent / "docs/runbook.md").read_text()
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        section = runbook.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for part in ("**Meaning.**", "**First look.**", "**Mend.**"):
            assert part in section, (name, part)
