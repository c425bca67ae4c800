"""A sampled back-test, and an edit compared with people's decisions."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.backtest.agreement import agreements
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Image, Part
from pipeline.evaluation.decisions.standing import Decided
from pipeline.evaluation.stats.binomial import scaled
from pipeline.evaluation.stats.intervals import Interval
from pipeline.events.decisions import Ruling
from pipeline.events.policies import Background, PolicySet
from pipeline.judge.score import Judge
from pipeline.policies.compile import compose, with_digest
from tests.support.deciding import POLICY, decision
from tests.support.sampling import make_sampling


def test_a_count_of_a_sample_is_scaled_within_its_limits() -> None:
    found = scaled(30, 1000, 100_000)
    assert found.value == 3000
    assert found.lower < 3000 < found.upper
    assert scaled(0, 10, 12) == Interval(0, 0, 2), "of two that were not looked at both may be"
    assert scaled(3, 12, 12) == Interval(3, 3, 3)


def test_the_interval_holds_the_whole_in_93_of_100_plain_draws() -> None:
    """One in a hundred of 20,000 images is sampled, for several shares."""
    rng = np.random.default_rng(1)
    for truth in (3, 40, 700, 9000):
        held = [
            not scaled(int(rng.hypergeometric(truth, 20_000 - truth, 200)), 200, 20_000).excludes(truth)
            for _ in range(500)
        ]
        assert np.mean(held) >= 0.93, truth


def test_the_interval_of_an_archive_sample_covers_the_full_count(
    tmp_path: Path, policies: Path, encoder: LocalEncoder
) -> None:
    """The short form of the 500 draws in `make prove`. Images older than the period count in neither."""
    sampling = make_sampling(tmp_path, policies, encoder, 3000)
    whole = sampling.whole()
    assert 2600 < whole.images < 2800
    assert sum(each.newly_flagged + each.newly_cleared > 50 for each in whole.policies.values()) > 1
    found, images = sampling.draw(0.05, 1)
    assert (found.images, images) == (int(np.ceil(whole.images * 0.05)), whole.images)
    other, _ = sampling.draw(0.05, 2)
    assert other.policies != found.policies, "another seed draws others"
    held = sampling.covered(0.05, 20)
    assert np.mean(list(held.values())) >= 0.93
    assert min(held.values()) >= 0.75, "of 20 draws"


class Edit:
    """Two versions of a policy, with images that both flag, that the edit flips, and that neither flags."""

    def __init__(self, encoder: LocalEncoder) -> None:
        policy = dataclasses.replace(POLICY, scope=None)
        background = Background(("a tree",), ("{}",))
        texts = encoder.encode_texts(["a photo of a revolver", "a tree"])
        mixed = [texts[0] * share + texts[1] * (1 - share) for share in (1.0, 0.6, 0.0)]
        self.kinds = [(each / np.linalg.norm(each)).astype(np.float16) for each in mixed]
        judge = Judge(build_prompt_bank(compose([with_digest(policy)], background), encoder))
        high, middle, low = judge.judge(np.stack(self.kinds)).raw[:, 0].tolist()
        assert high > middle > low
        self.before, self.after = (
            compose([with_digest(dataclasses.replace(policy, threshold=threshold))], background)
            for threshold in ((high + middle) / 2, (middle + low) / 2)
        )
        self._encoder = encoder

    def compared(self, *counts: int) -> PolicySetComparison:
        """Return a comparison with these numbers of images of each kind."""
        vectors = np.repeat(np.stack(self.kinds), counts, axis=0)
        images = [Image(f"e{n}", "forum", {}) for n in range(len(vectors))]

        def judge(policy_set: PolicySet) -> Judge:
            return Judge(build_prompt_bank(policy_set, self._encoder))

        comparison = PolicySetComparison(self.before, self.after, judge)
        comparison.run([Part(vectors, images, np.full(len(vectors), np.datetime64("2031-05-20")))])
        return comparison

    def decided(self, kind: int, ruling: Ruling, count: int, probability: float | None = None) -> list[Decided]:
        more = {} if probability is None else {"probability": probability}
        return [
            Decided(decision(ruling, f"{kind}-{ruling.value}-{n}", **more), {}, self.kinds[kind]) for n in range(count)
        ]


@pytest.fixture(scope="module")
def edit(encoder: LocalEncoder) -> Edit:
    return Edit(encoder)


def test_newly_flagged_images_without_a_decision_are_undecided_not_wrong(edit: Edit) -> None:
    comparison = edit.compared(80, 20, 100)
    decided = edit.decided(0, Ruling.UPHELD, 30) + edit.decided(0, Ruling.OVERTURNED, 10)
    [found] = agreements(comparison, decided)
    assert (found.newly_flagged.images, found.newly_flagged.decided, found.newly_flagged.undecided) == (20, 0, 20)
    assert found.precision_before.value == pytest.approx(0.75)
    assert np.isnan(found.precision_after.value)
    before = found.precision_before
    assert found.precision_after.lower == pytest.approx(0.8 * before.lower)
    assert found.precision_after.upper == pytest.approx(0.8 * before.upper + 0.2)


def test_decisions_count_with_their_weights(edit: Edit) -> None:
    """One in ten of some newly flagged images was decided, and all of the others."""
    comparison = edit.compared(80, 40, 0)
    decided = edit.decided(0, Ruling.UPHELD, 80, 1.0)
    decided += edit.decided(1, Ruling.MISSED, 3, 0.1) + edit.decided(1, Ruling.PASSED, 10, 1.0)
    [found] = agreements(comparison, decided)
    assert found.newly_flagged.right.value == pytest.approx(30 / 40)
    assert found.precision_after.value == pytest.approx((80 * 1 + 40 * 0.75) / 120)
    assert found.newly_cleared.images == 0


def test_without_decisions_there_is_no_agreement(edit: Edit) -> None:
    assert agreements(edit.compared(1, 1, 1), []) == []
