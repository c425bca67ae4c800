"""The metrics page: two formats, exemplars of traces, and a bounded number of series."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.events.images import DecodedImage, Picture
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import Mode, PolicySet
from pipeline.events.records import ImageEvent, Origin
from pipeline.judge.score import Judge
from pipeline.judge.verdicts import judge_images
from pipeline.policies.compile import compose
from pipeline.policies.load import load_policy_set
from pipeline.stream.active_set import CURRENT, ActiveJudges
from pipeline.stream.drift import DriftMonitor
from pipeline.stream.outcome_metrics import OutcomeMetrics
from pipeline.stream.policy_metrics import PolicyMetrics
from pipeline.telemetry.metrics import Metrics
from pipeline.telemetry.policy_labels import OTHER, PolicyLabels

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def series(page: str) -> set[str]:
    """Return the series of a metrics page, without values, exemplars and times of creation."""
    named = {line.split(" # ")[0].rsplit(" ", 1)[0] for line in page.splitlines() if line and not line.startswith("#")}
    return {name for name in named if "_created" not in name}


def family(page: str, name: str) -> str:
    """Return one metric's part of an OpenMetrics page."""
    lines = [
        line for line in page.splitlines() if line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(name)
    ]
    return "\n".join([*lines, "# EOF", ""])


def many_policies(policies: Path, count: int) -> PolicySet:
    shipped = load_policy_set(policies)
    first = shipped.policies[0]
    copies = [replace(first, id=f"copy.{n:03}", mode=(Mode.ENFORCE, Mode.SHADOW)[n % 2]) for n in range(count)]
    return compose(copies, shipped.background)


def verdicts(judge: Judge, count: int, traceparent: str | None = None) -> list[Verdict]:
    now, dimension = datetime.now(UTC), judge.bank.vectors.shape[1]
    embeddings = np.random.default_rng(1).normal(size=(count, dimension)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    picture = Picture(np.zeros((1, 1, 3), np.uint8), "JPEG", 1, 1, animated=False)
    images = [
        DecodedImage(
            ImageEvent(Origin("t", 0, n), str(n), "shop", now - timedelta(seconds=1), {}, b"", traceparent),
            picture,
            "0" * 64,
        )
        for n in range(count)
    ]
    return judge_images(images, embeddings, judge, now)


def counted(judge: Judge, made: list[Verdict], limit: int = 200) -> Metrics:
    metrics = Metrics()
    labels = PolicyLabels(limit, metrics.policies_unlabelled.set)
    PolicyMetrics(metrics, labels, "m" * 64).activated(ActiveJudges(judge), ())
    clock = iter(range(0, 10_000, 100))
    outcomes = OutcomeMetrics(metrics, labels, DriftMonitor(60, 600, lambda: float(next(clock))))
    for _ in range(4):
        outcomes.count(made, [CURRENT] * len(made), [])
    outcomes.measure_drift()
    return metrics


def test_a_latency_has_the_trace_of_its_image_as_exemplar(policies: Path, encoder: LocalEncoder) -> None:
    judge = Judge(build_prompt_bank(load_policy_set(policies), encoder))
    metrics = counted(judge, verdicts(judge, 3, f"00-{TRACE}-00f067aa0ba902b7-01"))
    kind, body = metrics.render(OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    [latency] = list(parse_openmetrics(family(body.decode(), "watchword_end_to_end_latency_seconds")))  # type: ignore[no-untyped-call]
    traces = {sample.exemplar.labels["trace_id"] for sample in latency.samples if sample.exemplar}
    assert traces == {TRACE}


def test_both_formats_have_the_same_series(policies: Path, encoder: LocalEncoder) -> None:
    judge = Judge(build_prompt_bank(load_policy_set(policies), encoder))
    metrics = counted(judge, verdicts(judge, 3))
    text, modern = (series(metrics.render(accept)[1].decode()) for accept in ("", OPENMETRICS))
    assert len(text) > 300
    assert text == modern


def test_two_hundred_policies_make_fewer_than_ten_thousand_series(policies: Path, encoder: LocalEncoder) -> None:
    judge = Judge(build_prompt_bank(many_policies(policies, 200), encoder))
    page = counted(judge, verdicts(judge, 300)).render()[1].decode()
    assert 'watchword_score_drift{policy="copy.199"}' in page
    assert 5_000 < len(series(page)) < 10_000


def test_policies_past_the_limit_share_one_label(policies: Path, encoder: LocalEncoder) -> None:
    judge = Judge(build_prompt_bank(many_policies(policies, 12), encoder))
    metrics = counted(judge, verdicts(judge, 5), limit=10)
    assert metrics.registry.get_sample_value("watchword_policies_unlabelled") == 2
    page = metrics.render()[1].decode()
    assert f'watchword_score_count{{policy="{OTHER}"}} {4 * 5 * 2}.0' in page
    assert f'watchword_score_count{{policy="copy.009"}} {4 * 5}.0' in page
