"""A flag made again from its own fields and the archived embedding, and shown prompt by prompt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.events.outcomes import flag_id
from pipeline.events.policies import Aggregate
from pipeline.judge.score import REFERENCE_MARGIN, Judge

Side = Literal["prompt", "contrast", "background"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """
    One text's cosine with the image, and its share of the pool on its side, 0 to 1.

    Where a head scores, texts only say what the image is near to.
    """

    side: Side
    text: str
    similarity: float
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why a policy flagged an image.

    `score` is what the reference makes of the archived embedding; `stated` what the flag says. `differences` is empty
    when the flag is proved, and says otherwise what is not as the flag says.
    """

    policy_id: str
    score: float
    stated: float
    threshold: float
    contributions: tuple[Contribution, ...]
    differences: tuple[str, ...]

    @property
    def proved(self) -> bool:
        """Whether everything in the flag follows from the embedding and the policy set."""
        return not self.differences


def explain(flag: Mapping[str, Any], embedding: NDArray[np.float16], content: str, judge: Judge) -> Explanation:
    """
    Make `flag`, the fields of a flag event, again.

    `embedding`: float16 [D], as archived, of the image with the digest `content`. `judge` is of the policy set that the
    flag names, by the model that it names.
    """
    policies = judge.bank.policy_set.policies
    place = next((i for i, policy in enumerate(policies) if policy.id == flag["policy"]["id"]), None)
    if place is None:
        told = f"the policy set has no policy `{flag['policy']['id']}`"
        return Explanation(flag["policy"]["id"], float("nan"), flag["score"], flag["threshold"], (), (told,))
    policy, bank = policies[place], judge.bank
    score = judge.reference_score(embedding, place)
    own = flag_id(flag["event"]["source"], flag["event"]["id"], policy.id, policy.digest, bank.model_digest)
    checks = {
        "the model": (flag["model_digest"], bank.model_digest),
        "the policy set": (flag["policy_set_digest"], bank.policy_set.digest),
        "the policy": (flag["policy"]["digest"], policy.digest),
        "the threshold": (flag["threshold"], policy.threshold),
        "the image's bytes": (flag["image"]["content_digest"], content),
        "the flag's id": (flag["flag_id"], str(own)),
    }
    differences = [
        f"{name}: the flag says {said}, here it is {here}" for name, (said, here) in checks.items() if said != here
    ]
    if abs(score - flag["score"]) > REFERENCE_MARGIN:
        differences.append(f"the score: the flag says {flag['score']:.4f}, made again it is {score:.4f}")
    if score < policy.threshold:
        differences.append(f"the score made again, {score:.4f}, is under the threshold, {policy.threshold:.4f}")
    return Explanation(
        policy.id, score, flag["score"], policy.threshold, _contributions(judge, place, embedding), tuple(differences)
    )


def _contributions(judge: Judge, place: int, embedding: NDArray[np.float16]) -> tuple[Contribution, ...]:
    bank = judge.bank
    policy, vector = bank.policy_set.policies[place], embedding.astype(np.float64)

    def of(side: Side, texts: tuple[str, ...], rows: tuple[int, int]) -> list[tuple[Side, str, float]]:
        cosines = (bank.vectors[rows[0] : rows[1]].astype(np.float64) @ vector).tolist()
        return [(side, text, cosine) for text, cosine in zip(texts, cosines, strict=True)]

    found: list[Contribution] = []
    against = of("contrast", policy.contrast, bank.contrast_rows[place])
    against += of("background", bank.policy_set.background.prompts, bank.background_rows)
    for pool in (of("prompt", policy.prompts, bank.prompt_rows[place]), against):
        if not pool:
            continue
        shares = _shares(bank.logit_scale * np.array([cosine for *_, cosine in pool]), policy.aggregate)
        found += [
            Contribution(side, text, cosine, share)
            for (side, text, cosine), share in zip(pool, shares.tolist(), strict=True)
        ]
    return tuple(sorted(found, key=lambda each: (each.side != "prompt", -each.similarity)))


def _shares(logits: NDArray[np.float64], aggregate: Aggregate) -> NDArray[np.float64]:
    """Return how much of what is pooled each logit is: the derivative of the pool by it, float64 [N]."""
    if aggregate is Aggregate.MEAN:
        return np.full(len(logits), 1 / len(logits))
    weights = np.exp(logits - logits.max()) if aggregate is Aggregate.LOG_MEAN_EXP else logits == logits.max()
    return np.asarray(weights / weights.sum(), dtype=np.float64)
