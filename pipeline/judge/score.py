"""Similarities to scores: every policy of a set for every embedding, from one matrix product."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import PromptBank, ScoreKind

# Within this distance of a threshold, float32's rounding could decide; the float64 reference does instead.
REFERENCE_MARGIN = 1e-3

# exp of a logit over this overflows float32; only temperatures above it (CLIP's highest is 100) are shifted down.
_HIGHEST_LOGIT = 80.0

# A pooled sum below this has lost float32's precision; its score is computed by the reference.
_UNDERFLOW = np.float32(1e-30)


@dataclass(frozen=True, slots=True)
class Scores:
    """`raw`: float64 [N, P]; `flagged`: bool [N, P], at or over the policy's threshold; policies in set order."""

    raw: NDArray[np.float64]
    flagged: NDArray[np.bool_]


class Judge:
    """
    Scores embeddings against one prompt bank. Pure once built; building it lays the bank out for the fast path.

    A policy's pooled logit over prompts S is log-mean-exp over s in S of (logit scale × cosine), so that more prompts
    do not by themselves raise a score. `similarity` scores are the pooled prompts; `contrast` scores are the pooled
    prompts minus the pooled contrast prompts together with the set's background.
    """

    def __init__(self, bank: PromptBank) -> None:
        self.bank = bank
        self._thresholds = np.array([policy.threshold for policy in bank.policy_set.policies], dtype=np.float64)
        count = len(self._thresholds)
        rows = [bank.background_rows, *bank.prompt_rows, *bank.contrast_rows]
        self._pools, columns = _pools(rows)
        self._logits = np.ascontiguousarray((bank.vectors[columns] * np.float32(bank.logit_scale)).T)
        self._shift = np.float32(max(0.0, bank.logit_scale - _HIGHEST_LOGIT))
        lengths = np.array([stop - start for start, stop in rows], dtype=np.float32)
        contrast_counts = lengths[count + 1 :] + lengths[0]
        kinds = np.array([policy.score is ScoreKind.SIMILARITY for policy in bank.policy_set.policies], dtype=bool)
        self._alone = np.flatnonzero(kinds | (contrast_counts == 0))
        contrast_counts[self._alone] = 1.0
        self._weights = contrast_counts / lengths[1 : count + 1]

    def judge(self, embeddings: NDArray[np.float16]) -> Scores:
        """
        Score every policy for every embedding.

        `embeddings`: float16 [N, D], as archived. Cost is one [N, D] x [D, K] product and one exponential an entry.
        """
        wide = embeddings.astype(np.float32)
        raw = self._fast(wide @ self._logits).astype(np.float64)
        certain = np.abs(raw - self._thresholds) >= REFERENCE_MARGIN  # false for a lost entry, which is not a number
        for i, p in np.argwhere(~certain):
            raw[i, p] = self.reference_score(embeddings[i], int(p))
        return Scores(raw, raw >= self._thresholds)

    def reference_score(self, embedding: NDArray[np.float16], policy: int) -> float:
        """
        Return one policy's score for one embedding, float16 [D], in float64.

        Products of a float16 and a float32 are exact in float64 and `math.fsum` rounds once, so the result does not
        depend on an order of summation: the same today, in a back-test and on another machine.
        """
        bank = self.bank
        prompts = self._reference_logits(embedding, *bank.prompt_rows[policy])
        if policy in self._alone:
            return _log_mean_exp(prompts)
        against = self._reference_logits(embedding, *bank.contrast_rows[policy])
        against += self._reference_logits(embedding, *bank.background_rows)
        return _log_mean_exp(prompts) - _log_mean_exp(against)

    def _reference_logits(self, embedding: NDArray[np.float16], start: int, stop: int) -> list[float]:
        values = embedding.astype(np.float64)
        rows = self._wide_vectors[start:stop]
        return [self.bank.logit_scale * math.fsum((row * values).tolist()) for row in rows]

    @cached_property
    def _wide_vectors(self) -> NDArray[np.float64]:
        return self.bank.vectors.astype(np.float64)

    def _fast(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pool logits, float32 [N, K] (overwritten), to scores, float32 [N, P]; NaN where float32 does not suffice."""
        count = len(self._thresholds)
        if self._shift:
            logits -= self._shift
        terms = np.exp(logits, out=logits)
        sums = np.zeros((len(logits), 2 * count + 1), dtype=np.float32)
        for pool in self._pools:
            block = terms[:, pool.start : pool.start + len(pool.segments) * pool.length]
            sums[:, pool.segments] = block.reshape(len(logits), len(pool.segments), pool.length) @ pool.ones
        prompts = sums[:, 1 : count + 1]
        against = sums[:, count + 1 :] + sums[:, :1]
        against[:, self._alone] = 1.0
        lost = np.minimum(prompts, against) < _UNDERFLOW
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.log(prompts * self._weights / against)
        scores[:, self._alone] += self._shift
        scores[lost] = np.nan
        pooled: NDArray[np.float32] = scores
        return pooled


@dataclass(frozen=True, slots=True)
class _Pool:
    """Segments of one length, side by side from column `start`: their sums are one small product."""

    segments: NDArray[np.intp]
    start: int
    length: int
    ones: NDArray[np.float32]


def _pools(rows: Sequence[tuple[int, int]]) -> tuple[list[_Pool], NDArray[np.intp]]:
    """Lay segments (start, stop) of rows out by length; returns the pools and which row each column is."""
    by_length: dict[int, list[int]] = {}
    for segment, (start, stop) in enumerate(rows):
        if stop > start:
            by_length.setdefault(stop - start, []).append(segment)
    pools, columns = [], list[int]()
    for length, segments in sorted(by_length.items()):
        pools.append(_Pool(np.array(segments, dtype=np.intp), len(columns), length, np.ones(length, dtype=np.float32)))
        columns += [row for segment in segments for row in range(*rows[segment])]
    return pools, np.array(columns, dtype=np.intp)


def _log_mean_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values) / len(values))
