"""Measures of bias: shifts of scores and flags by the people a text names, and flag rates by slice."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.errors import UsageError
from pipeline.evaluation.stats.intervals import Interval, bootstrap_means, difference, wilson
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge, Scores
from pipeline.models.evaluation.subject import Subject
from pipeline.models.text_tables import read_table, texts_by_key

BUNDLED_TERMS = Path(__file__).parents[1] / "tables" / "identity_terms.yaml"


@dataclass(frozen=True)
class IdentityTerms:
    """Terms for people, each with its kind (gender, age …), and the neutral term."""

    neutral: str
    terms: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, path: Path = BUNDLED_TERMS) -> "IdentityTerms":
        """Read a table with `neutral`, a text, and `terms`, texts by kind. Raises `UsageError`."""
        table = read_table(path)
        neutral = table.get("neutral")
        if not isinstance(neutral, str):
            raise UsageError(f"`{path}`: expected a text for `neutral`")
        kinds = texts_by_key(path, table.get("terms"))
        return cls(neutral, tuple((kind, term) for kind, terms in kinds.items() for term in terms))


@dataclass(frozen=True, slots=True)
class TermShift:
    """
    Shifts of one policy's scores and flag rate when its prompts name `term` instead of the neutral term.

    `flag_rate_shift` is None when the policy's threshold was fitted for another model.
    """

    policy_id: str
    kind: str
    term: str
    score_shift: Interval
    flag_rate_shift: Interval | None

    @property
    def matters(self) -> bool:
        """True when the interval of the flag rate, or else of the score, excludes zero."""
        return (self.flag_rate_shift or self.score_shift).excludes(0.0)


@dataclass(frozen=True, slots=True)
class SliceRate:
    """
    A policy's flag rate on one slice of the images, and its gap to the flag rate on all others.

    `gap` is None when there are no other images.
    """

    policy_id: str
    column: str
    value: str
    images: int
    flag_rate: Interval
    gap: Interval | None


def term_shifts(
    subject: Subject, policy_set: PolicySet, terms: IdentityTerms, stale: Collection[str] = ()
) -> list[TermShift]:
    """
    Return every policy's shift for every term, over all of the subject's images; intervals by bootstrap.

    `stale` are policies whose threshold was fitted for another model, so that their flags mean nothing.
    """
    neutral = _judge(subject, policy_set, terms.neutral)
    found = []
    for kind, term in terms.terms:
        named = _judge(subject, policy_set, term)
        by_score = bootstrap_means(named.raw - neutral.raw)
        by_flag = bootstrap_means(named.flagged.astype(np.float64) - neutral.flagged)
        found += [
            TermShift(policy.id, kind, term, score, None if policy.id in stale else flag)
            for policy, score, flag in zip(policy_set.policies, by_score, by_flag, strict=True)
        ]
    return found


def slice_rates(subject: Subject, policy_set: PolicySet, slices: dict[str, Sequence[str]]) -> list[SliceRate]:
    """Return the flag rate of each policy on each slice; `slices` maps a column to its value for every image."""
    flagged = Judge(build_prompt_bank(policy_set, subject.texts)).judge(subject.embeds.astype(np.float16)).flagged
    found = []
    for column, values in slices.items():
        for value in sorted(set(values)):
            inside = np.array([each == value for each in values])
            found += [
                _slice_rate(policy.id, column, value, flagged[:, i], inside)
                for i, policy in enumerate(policy_set.policies)
            ]
    return found


def _slice_rate(
    policy_id: str, column: str, value: str, flagged: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> SliceRate:
    hits, count = int(flagged[inside].sum()), int(inside.sum())
    others, rest = int(flagged[~inside].sum()), int((~inside).sum())
    gap = difference(hits, count, others, rest) if rest else None
    return SliceRate(policy_id, column, value, count, wilson(hits, count), gap)


def _judge(subject: Subject, policy_set: PolicySet, term: str) -> Scores:
    bank = build_prompt_bank(_naming(policy_set, term), subject.texts)
    return Judge(bank).judge(subject.embeds.astype(np.float16))


def _naming(policy_set: PolicySet, term: str) -> PolicySet:
    policies = tuple(
        replace(policy, prompts=tuple(f"{prompt} with {term}" for prompt in policy.prompts))
        for policy in policy_set.policies
    )
    return replace(policy_set, policies=policies)
