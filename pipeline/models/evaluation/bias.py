"""Bias measured: what a policy's score makes of who is named, and of which slice an image is from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from pipeline.encode.prompt_bank import build_prompt_bank
from pipeline.evaluation.stats.intervals import Interval, bootstrap_means, difference, wilson
from pipeline.events.policies import PolicySet
from pipeline.judge.score import Judge
from pipeline.models.evaluation.subject import Subject

BUNDLED_TERMS = Path(__file__).parents[1] / "tables" / "identity_terms.yaml"


@dataclass(frozen=True)
class IdentityTerms:
    """Words for people by what they tell apart, and the one that tells nothing."""

    neutral: str
    terms: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, path: Path = BUNDLED_TERMS) -> "IdentityTerms":
        """Read a table of `neutral` and `terms` by kind."""
        table = YAML(typ="safe").load(path)
        return cls(table["neutral"], tuple((kind, term) for kind, each in table["terms"].items() for term in each))


@dataclass(frozen=True, slots=True)
class TermShift:
    """
    How one policy's scores and flags move when its prompts name `term` instead of the neutral word.

    `flag_rate_shift` is None when the policy's threshold is another model's.
    """

    policy_id: str
    kind: str
    term: str
    score_shift: Interval
    flag_rate_shift: Interval | None

    @property
    def matters(self) -> bool:
        """Whether the interval of the flag rate, or else of the score, leaves zero out."""
        return (self.flag_rate_shift or self.score_shift).excludes(0.0)


@dataclass(frozen=True, slots=True)
class SliceRate:
    """
    How often a policy flags the images of one slice, and how much more often than all others.

    `gap` is None when there are no others.
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

    `stale` are policies whose threshold is another model's: what they would flag means nothing.
    """
    embeds = subject.embeds.astype(np.float16)

    def scores(term: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        judged = Judge(build_prompt_bank(_naming(policy_set, term), subject.texts)).judge(embeds)
        return judged.raw, judged.flagged

    raw, flagged = scores(terms.neutral)
    found = []
    for kind, term in terms.terms:
        other_raw, other_flagged = scores(term)
        by_score = bootstrap_means(other_raw - raw)
        by_flag = bootstrap_means(other_flagged.astype(np.float64) - flagged)
        found += [
            TermShift(policy.id, kind, term, score, None if policy.id in stale else flag)
            for policy, score, flag in zip(policy_set.policies, by_score, by_flag, strict=True)
        ]
    return found


def slice_rates(subject: Subject, policy_set: PolicySet, slices: dict[str, Sequence[str]]) -> list[SliceRate]:
    """Return how often each policy flags each slice; `slices` maps a column to its value for every image."""
    flagged = Judge(build_prompt_bank(policy_set, subject.texts)).judge(subject.embeds.astype(np.float16)).flagged
    found = []
    for column, values in slices.items():
        for value in sorted(set(values)):
            inside = np.array([each == value for each in values])
            found += [
                _slice_rate(policy.id, column, value, flagged[:, place], inside)
                for place, policy in enumerate(policy_set.policies)
            ]
    return found


def _slice_rate(
    policy_id: str, column: str, value: str, flagged: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> SliceRate:
    hits, count = int(flagged[inside].sum()), int(inside.sum())
    others, rest = int(flagged[~inside].sum()), int((~inside).sum())
    gap = difference(hits, count, others, rest) if rest else None
    return SliceRate(policy_id, column, value, count, wilson(hits, count), gap)


def _naming(policy_set: PolicySet, term: str) -> PolicySet:
    policies = tuple(
        replace(policy, prompts=tuple(f"{prompt} with {term}" for prompt in policy.prompts))
        for policy in policy_set.policies
    )
    return replace(policy_set, policies=policies)
