"""Differences between two policy sets over archived images, compared with a direct judgement of every image."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.local import LocalEncoder
from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.backtest.compare import PolicySetComparison
from pipeline.evaluation.backtest.result import Backtest, Image, Part
from pipeline.events.policies import Background, PolicySet
from pipeline.events.scope import Scope
from pipeline.judge.score import Judge
from pipeline.policies.compile import compose, with_digest
from pipeline.policies.load import load_policy_set
from tests.support.recounting import recount


@pytest.fixture(scope="module")
def vectors(encoder: LocalEncoder) -> NDArray[np.float16]:
    """Embeddings near the texts of objects, so that policies flag some of them."""
    rng = np.random.default_rng(4)
    texts = encoder.encode_texts(["a revolver", "a leopard", "a watch", "a tree", "a chair", "a flamingo", "a dollar"])
    noisy = texts[rng.integers(0, len(texts), 600)] + rng.normal(0, 0.05, (600, texts.shape[1]))
    unit: NDArray[np.float16] = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float16)
    return unit


def images(count: int) -> list[Image]:
    return [Image(f"e{n}", ("shop", "forum")[n % 2], {"region": ("eu", "us")[n % 3 == 0]}) for n in range(count)]


@pytest.fixture(scope="module")
def before(policies: Path, encoder: LocalEncoder) -> PolicySet:
    return load_policy_set(policies)


def edited(policy_set: PolicySet, policy_id: str, **changes: object) -> PolicySet:
    policies = [
        with_digest(dataclasses.replace(policy, **changes)) if policy.id == policy_id else policy  # type: ignore[arg-type]
        for policy in policy_set.policies
    ]
    return compose(policies, policy_set.background)


def judge(policy_set: PolicySet, encoder: LocalEncoder) -> Judge:
    return Judge(build_prompt_bank(policy_set, encoder))


def parts(vectors: NDArray[np.float16], size: int) -> Sequence[Part]:
    every = images(len(vectors))
    days = np.datetime64("2031-05-10") + np.arange(len(vectors)) % 5
    return [
        Part(vectors[at : at + size], every[at : at + size], days[at : at + size])
        for at in range(0, len(vectors), size)
    ]


def compare(before: PolicySet, after: PolicySet, encoder: LocalEncoder, given: Sequence[Part]) -> Backtest:
    return PolicySetComparison(before, after, lambda policy_set: judge(policy_set, encoder), threads=2).run(given)


def test_a_lower_threshold_adds_flags_and_clears_none(
    vectors: NDArray[np.float16], before: PolicySet, encoder: LocalEncoder
) -> None:
    """
    The counts by day and by source, and the examples nearest to the new threshold, do not depend on the division into
    parts.
    """
    place = next(i for i, policy in enumerate(before.policies) if policy.id == "weapons.firearms")
    scores = judge(before, encoder).judge(vectors).raw[:, place]
    old, new = before.policies[place].threshold, float(np.sort(scores)[-201:-199].mean())
    after = edited(before, "weapons.firearms", threshold=new)
    found = compare(before, after, encoder, parts(vectors, 77))
    change = found.policies["weapons.firearms"]
    assert (found.images, len(found.days)) == (600, 5)
    assert change.before == (scores >= old).sum()
    assert change.after == (scores >= new).sum() > change.before
    assert (change.newly_flagged, change.newly_cleared) == (change.after - change.before, 0)
    assert change.flagged_by.keys() == {"source", "region"}
    assert all(values.total() == change.newly_flagged for values in change.flagged_by.values())
    assert change.days_after.total() == change.after
    newly = np.flatnonzero((scores >= new) & (scores < old))
    nearest = newly[np.argsort(scores[newly])][:5]
    assert [each.event_id for each in change.nearest_flagged] == [f"e{n}" for n in nearest]
    assert change.nearest_cleared == []
    queue = found.queue("weapons.firearms")
    inner = [change.days_after[f"2031-05-{day}"] for day in (11, 12, 13)]
    assert queue.value == pytest.approx(sum(inner) / 3)
    assert queue.lower < queue.value < queue.upper
    untouched = [each for policy_id, each in found.policies.items() if policy_id != "weapons.firearms"]
    assert all((each.newly_flagged, each.newly_cleared) == (0, 0) for each in untouched)


def test_scopes_and_added_or_removed_policies_count(
    vectors: NDArray[np.float16], before: PolicySet, encoder: LocalEncoder
) -> None:
    narrowed = edited(before, "wildlife.big_cats", scope=Scope(values=(("region", ("eu",)),)), threshold=-99.0)
    gone = compose([policy for policy in narrowed.policies if policy.id != "weapons.firearms"], before.background)
    found = compare(before, gone, encoder, parts(vectors, 200))
    cats, guns = found.policies["wildlife.big_cats"], found.policies["weapons.firearms"]
    assert cats.after == sum(image.attributes["region"] == "eu" for image in images(600))
    assert (guns.after, guns.newly_cleared) == (0, guns.before)
    assert guns.before > 0
    assert len(guns.nearest_cleared) == 5


def test_sets_with_different_backgrounds_are_judged_each_against_its_own(
    vectors: NDArray[np.float16], before: PolicySet, encoder: LocalEncoder
) -> None:
    after = compose(list(before.policies), Background(("a tree", "a chair"), before.background.templates))
    found = compare(before, after, encoder, parts(vectors, 300))
    for policy_set, counted in ((before, "before"), (after, "after")):
        flagged = judge(policy_set, encoder).judge(vectors).flagged.sum(axis=0)
        for place, policy in enumerate(policy_set.policies):
            assert getattr(found.policies[policy.id], counted) == flagged[place]
    same = compare(before, before, encoder, parts(vectors, 300))
    assert all((each.newly_flagged, each.newly_cleared) == (0, 0) for each in same.policies.values())


def test_judging_an_image_by_its_set_gives_the_same_flags(
    vectors: NDArray[np.float16], before: PolicySet, encoder: LocalEncoder
) -> None:
    after = edited(before, "weapons.firearms", threshold=-99.0)
    judges = {policy_set.digest: judge(policy_set, encoder) for policy_set in (before, after)}
    sets = [before.digest if n % 2 else after.digest for n in range(100)]
    found = recount(judges, Part(vectors[:100], images(100), np.full(100, np.datetime64("2031-05-20"))), sets)
    guns = {event_id for event_id, policy_id in found if policy_id == "weapons.firearms"}
    assert guns >= {f"e{n}" for n in range(0, 100, 2)}
    assert len(guns) < 100
