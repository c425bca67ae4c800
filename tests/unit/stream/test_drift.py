"""Drift: stable streams stay near 0, a shift is found, a changed policy begins anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.events.policies import Policy
from pipeline.policies.load import load_policy_set
from pipeline.stream.drift import MIN_IMAGES, DriftMonitor, stability_index

WINDOW_S, REFERENCE_S = 60.0, 600.0


class Stream:
    """A stream of 100 images a second whose scores and embeddings have these means."""

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        self.now_s, self.policies = 0.0, policies
        self.random = np.random.default_rng(7)
        self.monitor = DriftMonitor(WINDOW_S, REFERENCE_S, lambda: self.now_s)

    def flow(self, seconds: int, *, score: float = -3.0, tilt: float = 0.0, model: str = "m") -> None:
        for _ in range(seconds):
            self.now_s += 1.0
            scores = self.random.normal(score, 2.0, (100, len(self.policies)))
            embeddings = self.random.normal(0.0, 1.0, (100, 16)) + np.eye(16)[0] * 3 + np.eye(16)[1] * tilt
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
            in_scope = np.ones(scores.shape, bool)
            self.monitor.add(self.policies, model, scores, in_scope, embeddings.astype(np.float16))


@pytest.fixture
def stream(policies: Path) -> Stream:
    return Stream(load_policy_set(policies).policies)


def known(stream: Stream) -> dict[str, float]:
    return {policy: index for policy, index in stream.monitor.score_drift().items() if index is not None}


def histogram(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.clip(values, 0, 99).astype(int), minlength=100)


@pytest.mark.parametrize("images", [600, 5000, 50_000])
def test_without_a_shift_the_index_stays_under_a_tenth(images: int) -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        reference, recent = (histogram(random.normal(50, 12, count)) for count in (20_000, images))
        index = stability_index(reference, recent)
        assert index is not None
        assert 0 <= index < 0.1


def test_a_shift_by_one_standard_deviation_is_over_a_quarter() -> None:
    random = np.random.default_rng(2)
    index = stability_index(histogram(random.normal(50, 12, 20_000)), histogram(random.normal(62, 12, 1000)))
    assert index is not None
    assert index > 0.25


def test_too_few_images_have_no_index() -> None:
    few, many = (np.full(10, count // 10) for count in (MIN_IMAGES - 10, MIN_IMAGES))
    assert stability_index(few, many) is None
    assert stability_index(many, few) is None


def test_a_stable_stream_has_no_drift_and_a_shifted_one_has(stream: Stream) -> None:
    stream.flow(300)
    stable = known(stream)
    assert stable.keys() == {policy.id for policy in stream.policies}
    assert max(stable.values()) < 0.05
    assert (stream.monitor.embedding_drift() or 0.0) < 0.05
    stream.flow(60, score=0.0, tilt=3.0)
    assert min(known(stream).values()) > 0.25
    assert (stream.monitor.embedding_drift() or 0.0) > 0.25


def test_a_policy_with_another_meaning_begins_anew_and_the_others_go_on(stream: Stream) -> None:
    stream.flow(300)
    edited, *others = stream.policies
    stream.policies = (replace(edited, digest="0" * 64), *others)
    stream.flow(10)
    assert known(stream).keys() == {policy.id for policy in others}


def test_another_model_begins_anew(stream: Stream) -> None:
    stream.flow(300)
    stream.flow(10, model="other")
    assert not known(stream)
    assert stream.monitor.embedding_drift() is None
