"""Similarities to scores: the formula and its edge cases; a verdict does not depend on other images."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import PolicyError
from pipeline.events.policies import (
    Aggregate,
    Background,
    Head,
    Mode,
    Policy,
    PolicySet,
    PromptBank,
    ScoreKind,
    Severity,
)
from pipeline.judge.score import REFERENCE_MARGIN, Judge

DIMENSION = 32


def unit(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((n, DIMENSION)).astype(np.float32)
    unit_length: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_length


def bank(
    groups: list[tuple[int, int]],
    *,
    background: int = 5,
    scale: float = 20.0,
    kind: ScoreKind = ScoreKind.CONTRAST,
    aggregates: Sequence[Aggregate] = (Aggregate.LOG_MEAN_EXP,),
) -> PromptBank:
    """
    A bank whose policies have these numbers of prompts and contrast prompts, and pool them by `aggregates` in turn.
    """
    rng = np.random.default_rng(3)
    policies, prompt_rows, contrast_rows, row = [], [], [], background
    for i, (prompts, contrast) in enumerate(groups):
        texts = tuple(f"p{i}.{n}" for n in range(prompts))
        policy = Policy(
            id=f"policy{i}",
            title="",
            prompts=texts,
            contrast=(),
            templates=("{}",),
            score=kind,
            threshold=0.0,
            severity=Severity.LOW,
            action="",
            owner="",
            mode=Mode.ENFORCE,
            provisional=False,
            digest="",
            aggregate=aggregates[i % len(aggregates)],
        )
        policies.append(policy)
        prompt_rows.append((row, row + prompts))
        contrast_rows.append((row + prompts, row + prompts + contrast))
        row += prompts + contrast
    policy_set = PolicySet(tuple(policies), Background(tuple(map(str, range(background))), ("{}",)), "digest")
    return PromptBank(
        policy_set, "model", scale, unit(rng, row), (0, background), tuple(prompt_rows), tuple(contrast_rows)
    )


def pooled(logits: NDArray[np.float64], aggregate: Aggregate) -> float:
    if aggregate is Aggregate.LOG_MEAN_EXP:
        return float(np.logaddexp.reduce(logits) - math.log(len(logits)))
    return float(logits.max() if aggregate is Aggregate.MAX else logits.mean())


def expected(bank: PromptBank, embedding: NDArray[np.float16], policy: int) -> float:
    """The formula of design.md, computed directly."""
    logits = bank.logit_scale * (bank.vectors.astype(np.float64) @ embedding.astype(np.float64))
    aggregate = bank.policy_set.policies[policy].aggregate
    wanted = pooled(logits[slice(*bank.prompt_rows[policy])], aggregate)
    if bank.policy_set.policies[policy].score is ScoreKind.SIMILARITY:
        return wanted
    against = np.concatenate([logits[slice(*bank.contrast_rows[policy])], logits[slice(*bank.background_rows)]])
    return wanted - pooled(against, aggregate)


@pytest.mark.parametrize("kind", list(ScoreKind))
@pytest.mark.parametrize("scale", [1.0, 20.0, 100.0, 400.0])
@pytest.mark.parametrize(
    "aggregates", [(Aggregate.LOG_MEAN_EXP,), (Aggregate.MAX,), (Aggregate.MEAN,), tuple(Aggregate)]
)
def test_scores_follow_the_formula(kind: ScoreKind, scale: float, aggregates: tuple[Aggregate, ...]) -> None:
    """This holds at any temperature, even if float32 would underflow; policies of one set may pool differently."""
    given = bank([(3, 2), (1, 0), (7, 4), (2, 2), (5, 1)], scale=scale, kind=kind, aggregates=aggregates)
    embeddings = unit(np.random.default_rng(5), 40).astype(np.float16)
    raw = Judge(given).judge(embeddings).raw
    want = [[expected(given, embedding, p) for p in range(5)] for embedding in embeddings]
    np.testing.assert_allclose(raw, want, atol=2e-6 * scale + 1e-5)


def test_the_reference_equals_the_formula_within_rounding() -> None:
    given = bank([(3, 2), (4, 1), (2, 3)], aggregates=tuple(Aggregate))
    for embedding in unit(np.random.default_rng(6), 20).astype(np.float16):
        for policy in range(3):
            want = expected(given, embedding, policy)
            assert Judge(given).reference_score(embedding, policy) == pytest.approx(want, abs=1e-12)


def test_more_prompts_of_the_same_kind_do_not_raise_a_score() -> None:
    one = bank([(1, 2)])
    vectors = np.concatenate([one.vectors[:5], np.repeat(one.vectors[5:6], 6, axis=0), one.vectors[6:]])
    six = dataclasses.replace(one, vectors=vectors, prompt_rows=((5, 11),), contrast_rows=((11, 13),))
    embeddings = unit(np.random.default_rng(7), 10).astype(np.float16)
    np.testing.assert_allclose(Judge(one).judge(embeddings).raw, Judge(six).judge(embeddings).raw, atol=1e-5)


def test_a_score_near_its_threshold_equals_the_reference() -> None:
    given = bank([(3, 2)])
    embeddings = unit(np.random.default_rng(8), 50).astype(np.float16)
    exact = np.array([Judge(given).reference_score(embedding, 0) for embedding in embeddings])
    for i in range(50):
        for distance in (-0.5 * REFERENCE_MARGIN, 0.0, 0.5 * REFERENCE_MARGIN):
            policy = dataclasses.replace(given.policy_set.policies[0], threshold=float(exact[i]) + distance)
            policy_set = dataclasses.replace(given.policy_set, policies=(policy,))
            scores = Judge(dataclasses.replace(given, policy_set=policy_set)).judge(embeddings)
            assert scores.raw[i, 0] == exact[i]
            assert bool(scores.flagged[i, 0]) is (distance <= 0)


def test_a_verdict_does_not_depend_on_the_batch() -> None:
    given = bank([(3, 2)] * 20)
    judge = Judge(given)
    embeddings = unit(np.random.default_rng(9), 32).astype(np.float16)
    together = judge.judge(embeddings)
    order = np.random.default_rng(1).permutation(32)
    np.testing.assert_array_equal(judge.judge(embeddings[order]).flagged, together.flagged[order])
    for i in range(32):
        np.testing.assert_array_equal(judge.judge(embeddings[i : i + 1]).flagged[0], together.flagged[i])


def test_a_set_without_policies_or_images_judges_nothing() -> None:
    embeddings = unit(np.random.default_rng(1), 2).astype(np.float16)
    assert Judge(bank([])).judge(embeddings).raw.shape == (2, 0)
    assert Judge(bank([(1, 1)])).judge(embeddings[:0]).raw.shape == (0, 1)


def test_contrast_without_contrast_prompts_uses_the_prompts_alone() -> None:
    given = bank([(3, 0)], background=0)
    alone = bank([(3, 0)], background=0, kind=ScoreKind.SIMILARITY)
    embeddings = unit(np.random.default_rng(2), 4).astype(np.float16)
    np.testing.assert_array_equal(Judge(given).judge(embeddings).raw, Judge(alone).judge(embeddings).raw)


def test_a_head_scores_next_to_prompt_policies() -> None:
    """The fast path and the reference both give its product, and other policies keep their scores."""
    words = bank([(3, 2), (2, 2), (4, 1)], aggregates=(Aggregate.LOG_MEAN_EXP, Aggregate.MAX, Aggregate.MEAN))
    rng = np.random.default_rng(8)
    embeddings = unit(rng, 20).astype(np.float16)
    head = Head(tuple(np.asarray(rng.normal(0, 4, words.vectors.shape[1]), np.float32).tolist()), -0.75, "model")
    for place in range(3):
        policies = list(words.policy_set.policies)
        policies[place] = dataclasses.replace(policies[place], score=ScoreKind.LINEAR, head=head)
        policy_set = dataclasses.replace(words.policy_set, policies=tuple(policies))
        judge = Judge(dataclasses.replace(words, policy_set=policy_set))
        raw = judge.judge(embeddings).raw
        expected = embeddings.astype(np.float64) @ np.array(head.weights) + head.bias
        np.testing.assert_allclose(raw[:, place], expected, atol=1e-4)
        assert judge.reference_score(embeddings[0], place) == pytest.approx(expected[0], abs=1e-12)
        others = [other for other in range(3) if other != place]
        np.testing.assert_allclose(raw[:, others], Judge(words).judge(embeddings).raw[:, others], atol=1e-5)
    short = dataclasses.replace(head, weights=head.weights[:-1])
    policies[2] = dataclasses.replace(policies[2], head=short)
    with pytest.raises(PolicyError, match="fitted for another model"):
        Judge(dataclasses.replace(words, policy_set=dataclasses.replace(words.policy_set, policies=tuple(policies))))
