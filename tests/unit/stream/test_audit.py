"""Audits: the sample of images that policies did not flag, and recall estimated from it."""

import csv
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.emit.formats import verdict_record
from pipeline.errors import UsageError
from pipeline.evaluation.stats.recall import estimate_recall, weighted_total
from pipeline.events.images import DecodedImage, Picture
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import PolicySet
from pipeline.events.records import ImageEvent, Origin
from pipeline.policies.compile import compose
from pipeline.policies.load import load_policy_set
from pipeline.stream.audit_sampler import DAY_S, AuditSampler
from tests.support.audits import SCENARIOS, covers

KINDS = ("watch", "cellphone", "laptop", "headphone", "camera", "revolver", "stapler", "pizza")
COUNTERFEIT = ("watch", "cellphone", "laptop", "headphone", "camera")


def policy_set(policies: Path, *per_day: int | None) -> PolicySet:
    """Some of the shipped policies with audits, and thresholds at 0."""
    shipped = load_policy_set(policies)
    audited = [
        dataclasses.replace(policy, audit_per_day=budget, threshold=0.0)
        for policy, budget in zip(shipped.policies, per_day, strict=False)
    ]
    return compose(audited, shipped.background)


class Stream:
    """Verdicts of a stream with this number of images a second; every score is below every threshold."""

    def __init__(self, audited: PolicySet, seed: int = 1) -> None:
        self.audited, self.random, self.now, self.sent = audited, np.random.default_rng(seed), 0.0, 0

    def chunk(self, count: int, seconds: float, flagged: Sequence[bool] | None = None) -> list[Verdict]:
        self.now += seconds
        policies = len(self.audited.policies)
        scores = -self.random.exponential(3.0, (count, policies))
        self.sent += count
        yes = np.zeros(policies, bool) if flagged is None else np.array(flagged)
        return [self._verdict(self.sent + i, scores[i], yes) for i in range(count)]

    def _verdict(self, number: int, scores: "np.ndarray[tuple[int], np.dtype[np.float64]]", yes: object) -> Verdict:
        event = ImageEvent(Origin("t", 0, number), str(number), "shop", datetime.now(UTC), {}, b"")
        picture = Picture(np.zeros((1, 1, 3), np.uint8), "JPEG", 1, 1, animated=False)
        flags = np.asarray(yes, bool)
        return Verdict(
            image=DecodedImage(event, picture, "0" * 64),
            embedding=np.zeros(4, np.float16),
            scores=scores,
            in_scope=np.ones(len(scores), bool),
            flagged=flags,
            flags=(),
            policy_set=self.audited,
            model_digest="m" * 64,
            time=datetime.now(UTC),
        )


def drawn_in_a_day(stream: Stream, share: float = 1.0) -> list[Verdict]:
    sampler = AuditSampler(lambda: stream.now)
    sampler.set_share(share)
    found = []
    for _ in range(24 * 12):
        found += [each for each in sampler.sample(stream.chunk(150, DAY_S / 24 / 12)) if each.audit is not None]
    return found


def test_the_sample_has_the_requested_size_and_favours_the_threshold(policies: Path) -> None:
    """500 of 43,200 images a day are sampled, and their weights add up to the stream."""
    stream = Stream(policy_set(policies, 500))
    found = drawn_in_a_day(stream)
    assert len(found) == pytest.approx(500, rel=0.25)
    assert sum(1 / (each.audit or 1) for each in found) == pytest.approx(stream.sent, rel=0.25)
    near = [each for each in found if each.scores[0] > -1]
    assert len(near) / len(found) < 0.35 < 1.8 * len(near) / len(found), "a fifth of the draw for each stratum"


def test_policies_share_one_sample_and_a_worker_takes_its_share(policies: Path) -> None:
    """Two policies with the same budget share many images, so together they take fewer than twice as many."""
    one = len(drawn_in_a_day(Stream(policy_set(policies, 400))))
    two = len(drawn_in_a_day(Stream(policy_set(policies, 400, 400))))
    assert one < two < 1.9 * one
    half = len(drawn_in_a_day(Stream(policy_set(policies, 400)), share=0.5))
    assert half == pytest.approx(one / 2, rel=0.3)


def test_flagged_images_and_unaudited_policies_are_not_sampled(policies: Path) -> None:
    stream = Stream(policy_set(policies, 10**6, None))
    sampler = AuditSampler(lambda: stream.now)
    assert all(each.audit is None for each in sampler.sample(stream.chunk(200, 60, [True, False])))
    assert all(each.audit == 1 for each in sampler.sample(stream.chunk(200, 60, [False, True])))
    unaudited = Stream(policy_set(policies, None))
    assert all(each.audit is None for each in sampler.sample(unaudited.chunk(200, 60)))
    assert sampler.sample([]) == []


def test_a_verdict_has_the_sampling_probability_of_its_image(policies: Path) -> None:
    [verdict] = Stream(policy_set(policies, 5)).chunk(1, 1)
    assert b'"audit":null' in verdict_record(verdict).value
    assert b'"audit":{"probability":0.125}' in verdict_record(dataclasses.replace(verdict, audit=0.125)).value


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_interval_of_recall_covers_the_truth(name: str) -> None:
    """Otherwise recall is reported as unknown; `make prove` has 2,000 draws."""
    rng = np.random.default_rng(11)
    assert np.mean([covers(SCENARIOS[name], rng) for _ in range(300)]) >= 0.93


def test_recall_is_unknown_before_ten_misses_are_found() -> None:
    audited = np.full(500, 0.1)
    assert estimate_recall(100, np.full(9, 0.1), audited).interval is None
    found = estimate_recall(100, np.full(10, 0.1), audited).interval
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert 0.3 < found.lower < 0.5 < found.upper < 0.7


def test_a_complete_audit_has_no_uncertainty() -> None:
    found = estimate_recall(30, np.ones(10), np.ones(1000)).interval
    assert found is not None
    assert (found.lower, found.value, found.upper) == (0.75, 0.75, 0.75)


def test_a_count_of_nothing_has_an_upper_end() -> None:
    """With weight one, it is the exact Poisson limit: minus the logarithm of 0.025 (Garwood 1936)."""
    total, lower, upper = weighted_total(np.array([]), 1.0)
    assert (total, lower) == (0, 0)
    assert upper == pytest.approx(-np.log(0.025))


def test_recall_is_measured_from_a_file_of_audited_images(tmp_path: Path, samples: Path, policies: Path) -> None:
    """The file has every flagged image, and the other images with their sampling probability."""
    with (samples / "labels.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "val" and row["category"] in KINDS]
    (tmp_path / "policy_labels.yaml").write_text((samples / "policy_labels.yaml").read_text())

    def write(probability: str) -> Path:
        with (tmp_path / "audited.csv").open("w", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(["image", "category", "probability"])
            writer.writerows([samples / row["file"], row["category"], probability] for row in rows)
        return tmp_path / "audited.csv"

    def recall(probability: str) -> list[str]:
        shown = CliRunner().invoke(app, ["policies", "recall", str(write(probability)), "--policies", str(policies)])
        if shown.exception and not isinstance(shown.exception, SystemExit):
            raise shown.exception
        [line] = [line for line in shown.stdout.splitlines() if line.startswith("counterfeit.branded_goods")]
        return line.split()

    whole = recall("1")
    right, misses, looked_at = map(int, whole[1:4])
    assert right + misses == sum(row["category"] in COUNTERFEIT for row in rows)
    assert looked_at < len(rows)
    assert whole[4] == ("unknown" if misses < 10 else f"{right / (right + misses):.2f}")
    assert recall("0.5")[1:4] == whole[1:4], "a flagged image counts once, with any probability"
    with pytest.raises(UsageError, match="need a `probability`"):
        recall("")
