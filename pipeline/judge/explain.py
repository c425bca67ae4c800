"""Explanation of a flag: its score recomputed from the archived embedding, prompt by prompt."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.events.outcomes import flag_id
from pipeline.events.policies import Aggregate, Policy
from pipeline.events.wire.flag import FlagRecord
from pipeline.judge.score import REFERENCE_MARGIN, Judge

Side = Literal["prompt", "contrast", "background"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """
    One text's cosine with the image, and its share, 0 to 1, among the texts on its side.

    If a head scores the policy, its texts are not part of the score. They only describe the image.
    """

    side: Side
    text: str
    similarity: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Explanation of one flag.

    `score`: the reference score of the archived embedding; `stated`: the score in the flag. `differences`: one line for
    each value that differs from the flag's; empty when recomputation confirms the flag.
    """

    policy_id: str
    score: float
    stated: float
    threshold: float
    contributions: tuple[Contribution, ...]
    differences: tuple[str, ...]

    @property
    def confirmed(self) -> bool:
        """Whether recomputing the flag from the embedding and the policy set gives the same flag."""
        return not self.differences


def explain(flag: FlagRecord, embedding: NDArray[np.float16], content: str, judge: Judge) -> Explanation:
    """
    Recompute a flag and compare the result with it.

    `embedding`: the archived embedding, float16 [D], of the image with the digest `content`. `judge` must have the
    policy set and the model that the flag names.
    """
    policies = judge.bank.policy_set.policies
    index = next((i for i, policy in enumerate(policies) if policy.id == flag.policy.id), None)
    if index is None:
        missing = f"the policy set has no policy `{flag.policy.id}`"
        return Explanation(flag.policy.id, float("nan"), flag.score, flag.threshold, (), (missing,))
    policy, score = policies[index], judge.reference_score(embedding, index)
    differences = (*_other_values(flag, policy, content, judge), *_other_scores(flag, policy, score))
    contributions = _contributions(judge, index, embedding)
    return Explanation(policy.id, score, flag.score, policy.threshold, contributions, differences)


def _other_values(flag: FlagRecord, policy: Policy, content: str, judge: Judge) -> list[str]:
    bank = judge.bank
    own = flag_id(flag.event.source, flag.event.id, policy.id, policy.digest, bank.model_digest)
    checks = {
        "the model": (flag.model_digest, bank.model_digest),
        "the policy set": (flag.policy_set_digest, bank.policy_set.digest),
        "the policy": (flag.policy.digest, policy.digest),
        "the threshold": (flag.threshold, policy.threshold),
        "the image's bytes": (flag.image.content_digest, content),
        "the flag's id": (flag.flag_id, str(own)),
    }
    return [f"{name}: the flag says {said}, here it is {here}" for name, (said, here) in checks.items() if said != here]


def _other_scores(flag: FlagRecord, policy: Policy, score: float) -> list[str]:
    found = []
    if abs(score - flag.score) > REFERENCE_MARGIN:
        found.append(f"the score: the flag says {flag.score:.4f}, recomputed it is {score:.4f}")
    if score < policy.threshold:
        found.append(f"the recomputed score, {score:.4f}, is under the threshold, {policy.threshold:.4f}")
    return found


def _contributions(judge: Judge, index: int, embedding: NDArray[np.float16]) -> tuple[Contribution, ...]:
    bank = judge.bank
    policy, vector = bank.policy_set.policies[index], embedding.astype(np.float64)

    def of(side: Side, texts: tuple[str, ...], rows: tuple[int, int]) -> list[tuple[Side, str, float]]:
        cosines = (bank.vectors[rows[0] : rows[1]].astype(np.float64) @ vector).tolist()
        return [(side, text, cosine) for text, cosine in zip(texts, cosines, strict=True)]

    found: list[Contribution] = []
    against = of("contrast", policy.contrast, bank.contrast_rows[index])
    against += of("background", bank.policy_set.background.prompts, bank.background_rows)
    for pool in (of("prompt", policy.prompts, bank.prompt_rows[index]), against):
        if not pool:
            continue
        shares = _shares(bank.logit_scale * np.array([cosine for *_, cosine in pool]), policy.aggregate)
        found += [
            Contribution(side, text, cosine, share)
            for (side, text, cosine), share in zip(pool, shares.tolist(), strict=True)
        ]
    return tuple(sorted(found, key=lambda each: (each.side != "prompt", -each.similarity)))


def _shares(logits: NDArray[np.float64], aggregate: Aggregate) -> NDArray[np.float64]:
    """Return each logit's share of the pool, float64 [N]: the derivative of the pooled value with respect to it."""
    if aggregate is Aggregate.MEAN:
        return np.full(len(logits), 1 / len(logits))
    weights = np.exp(logits - logits.max()) if aggregate is Aggregate.LOG_MEAN_EXP else logits == logits.max()
    return np.asarray(weights / weights.sum(), dtype=np.float64)
