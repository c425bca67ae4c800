"""Scores of every policy of a set for every embedding, from one matrix product."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numkong
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PolicyError, ScoreFault
from pipeline.events.policies import Aggregate, Policy, PromptBank, ScoreKind
from pipeline.judge.segments import layout_columns

# Closer to a threshold than this, float32 rounding could change the answer, so the float64 reference decides.
REFERENCE_MARGIN = 1e-3

# The exponential of a larger logit overflows float32. Logits are shifted down only where the logit scale is above this
# (CLIP's highest is 100).
_HIGHEST_LOGIT = 80.0

# A smaller pooled sum has lost precision in float32, so the reference computes its score.
_UNDERFLOW = np.float32(1e-30)


@dataclass(frozen=True, slots=True)
class Scores:
    """`raw`: float64 [N, P]; `flagged`: bool [N, P], at or over the policy's threshold. Policies are in set order."""

    raw: NDArray[np.float64]
    flagged: NDArray[np.bool_]


class Judge:
    """
    Scores embeddings against one prompt bank. Pure after construction, which arranges the bank for the fast path.

    A policy pools the logits (logit scale × cosine) of its prompts by their maximum, their mean, or log-mean-exp. With
    log-mean-exp, more prompts do not by themselves raise a score. A `similarity` score is the pooled prompts. A
    `contrast` score is the pooled prompts minus the pool of the contrast prompts and the set's background. A `linear`
    score is computed by the policy's head, which is one more column of the same product.
    """

    def __init__(self, bank: PromptBank) -> None:
        self.bank = bank
        policies = bank.policy_set.policies
        self._thresholds = np.array([policy.threshold for policy in policies], dtype=np.float64)
        count = len(policies)
        rows = [bank.background_rows, *bank.prompt_rows, *bank.contrast_rows, bank.background_rows]
        lengths = np.array([stop - start for start, stop in rows], dtype=np.float32)
        against = lengths[count + 1 : -1] + lengths[0]
        self._alone = np.array([_alone(policy, k) for policy, k in zip(policies, against, strict=True)], dtype=bool)
        by = {kind: np.array([p.aggregate is kind for p in policies], dtype=bool) for kind in Aggregate}
        headed = np.array([policy.head is not None for policy in policies], dtype=bool)
        self._summed, self._highest = (by[kind] & ~headed for kind in (Aggregate.LOG_MEAN_EXP, Aggregate.MAX))
        self._linear = by[Aggregate.MEAN] | headed
        # Segments: the background, the prompts of each policy, their contrasts, and for maxima the background again.
        summed = np.concatenate([[True], self._summed, self._summed, [False]])
        highest = np.concatenate([[False], self._highest, self._highest, [self._highest.any()]])
        self._sums, columns = layout_columns(rows, summed, 0)
        self._maxima, more = layout_columns(rows, highest, len(columns))
        columns += more
        self._pooled = len(columns)
        means = [self._linear_vector(index) for index in np.flatnonzero(self._linear).tolist()]
        heads = [policies[index].head for index in np.flatnonzero(self._linear).tolist()]
        if wrong := [head for head in heads if head and len(head.weights) != bank.vectors.shape[1]]:
            raise PolicyError(
                f"a head has {len(wrong[0].weights)} weights and embeddings have {bank.vectors.shape[1]} dimensions: "
                "it was fitted for another model, fit it again (`watchword policies fit-head`)"
            )
        self._biases = np.array([head.bias if head else 0.0 for head in heads], dtype=np.float32)
        vectors = np.concatenate([bank.vectors[columns], np.reshape(means, (-1, bank.vectors.shape[1]))])
        self._logits = np.ascontiguousarray((vectors * np.float32(bank.logit_scale)).astype(np.float32).T)
        self._shift = np.float32(max(0.0, bank.logit_scale - _HIGHEST_LOGIT))
        against[self._alone] = 1.0
        self._weights = np.where(self._highest, 1.0, against / lengths[1 : count + 1]).astype(np.float32)
        self._weights[self._alone & self._summed] = 1 / lengths[1 : count + 1][self._alone & self._summed]

    def judge(self, embeddings: NDArray[np.float16]) -> Scores:
        """
        Score every policy for every embedding.

        `embeddings`: float16 [N, D], as archived. The cost is one [N, D] x [D, K] product and one exponential per entry
        of the result. Raises `ScoreFault` when a score is not finite.
        """
        # This conversion is exact and ten times as fast as numpy's, which took half of the time of this method.
        wide = np.asarray(numkong.astype(embeddings, "float32"))
        raw = self._fast(wide @ self._logits).astype(np.float64)
        certain = (np.abs(raw - self._thresholds) >= REFERENCE_MARGIN) & np.isfinite(raw)
        for i, p in np.argwhere(~certain):
            raw[i, p] = self.reference_score(embeddings[i], int(p))
        self._require_finite(raw)
        return Scores(raw, raw >= self._thresholds)

    def _require_finite(self, raw: NDArray[np.float64]) -> None:
        """Raise `ScoreFault` for a score that is not finite: NaN would pass for a score under the threshold."""
        if not np.isfinite(raw).all():
            policy = self.bank.policy_set.policies[int(np.argwhere(~np.isfinite(raw))[0][1])]
            raise ScoreFault(f"policy `{policy.id}` has a score that is not a finite number: nothing follows from it")

    def reference_score(self, embedding: NDArray[np.float16], policy: int) -> float:
        """
        Return one policy's score for one embedding, float16 [D], in float64.

        Products of a float16 and a float32 are exact in float64 and `math.fsum` rounds once. The result therefore does
        not depend on the order of summation: a worker, a back-test and another machine compute the same number.
        """
        head = self.bank.policy_set.policies[policy].head
        if head is not None:
            products = np.array(head.weights, dtype=np.float32).astype(np.float64) * embedding.astype(np.float64)
            return math.fsum([*products.tolist(), head.bias])
        bank, pool = self.bank, _REFERENCES[self.bank.policy_set.policies[policy].aggregate]
        prompts = self._reference_logits(embedding, *bank.prompt_rows[policy])
        if self._alone[policy]:
            return pool(prompts)
        against = self._reference_logits(embedding, *bank.contrast_rows[policy])
        against += self._reference_logits(embedding, *bank.background_rows)
        return pool(prompts) - pool(against)

    def _linear_vector(self, policy: int) -> NDArray[np.float64]:
        """
        Return the vector, float64 [D], whose logit with an embedding is the score (without the bias of a head).

        It is the head's weights over the logit scale, or the mean prompt vector minus the mean vector of the contrast
        prompts and the background.
        """
        bank, head = self.bank, self.bank.policy_set.policies[policy].head
        if head is not None:
            return np.array(head.weights, dtype=np.float64) / bank.logit_scale
        prompts = self._wide_vectors[slice(*bank.prompt_rows[policy])].mean(axis=0)
        if self._alone[policy]:
            return np.asarray(prompts)
        rows = (slice(*bank.contrast_rows[policy]), slice(*bank.background_rows))
        return np.asarray(prompts - np.concatenate([self._wide_vectors[each] for each in rows]).mean(axis=0))

    def _reference_logits(self, embedding: NDArray[np.float16], start: int, stop: int) -> list[float]:
        values = embedding.astype(np.float64)
        rows = self._wide_vectors[start:stop]
        return [self.bank.logit_scale * math.fsum((row * values).tolist()) for row in rows]

    @cached_property
    def _wide_vectors(self) -> NDArray[np.float64]:
        return self.bank.vectors.astype(np.float64)

    def _fast(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pool `logits`, float32 [N, K], overwritten, to scores, float32 [N, P]; NaN where precision was lost."""
        count = len(self._thresholds)
        terms = logits[:, : self._pooled]
        if self._shift:
            terms -= self._shift
        np.exp(terms, out=terms)
        pooled = np.zeros((len(logits), 2 * count + 2), dtype=np.float32)
        for pool in self._sums:
            pooled[:, pool.segments] = pool.of(terms) @ pool.ones
        for pool in self._maxima:
            pooled[:, pool.segments] = pool.of(terms).max(axis=2)
        prompts, against = pooled[:, 1 : count + 1], pooled[:, count + 1 : -1]
        if self._highest.any():
            against = np.where(self._highest, np.maximum(against, pooled[:, -1:]), against + pooled[:, :1])
        else:
            against += pooled[:, :1]
        against[:, self._alone] = 1.0
        lost = np.minimum(prompts, against) < _UNDERFLOW
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.log(prompts * self._weights / against)
        scores[:, self._alone] += self._shift
        scores[lost] = np.nan
        scores[:, self._linear] = logits[:, self._pooled :] + self._biases
        found: NDArray[np.float32] = scores
        return found


def _alone(policy: Policy, against: float) -> bool:
    """Tell whether a policy's prompts are scored alone, without contrast or background."""
    return policy.score is ScoreKind.SIMILARITY or against == 0


def _log_mean_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values) / len(values))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


_REFERENCES: dict[Aggregate, Callable[[list[float]], float]] = {
    Aggregate.LOG_MEAN_EXP: _log_mean_exp,
    Aggregate.MAX: max,
    Aggregate.MEAN: _mean,
}
