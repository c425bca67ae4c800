"""Rules about texts that the model can hardly tell apart."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.events.policies import PromptBank, ScoreKind
from pipeline.policies.diagnostics import NodePath
from pipeline.policies.folder import ParsedPolicy
from pipeline.policies.lint.findings import Finding, finding
from pipeline.policies.lint_rules import Rule

# Nearness of duplicates, and of a prompt and the texts that count against it: 0 for unrelated texts, 1 for equal ones.
SAME = 0.9
CANCELS = 0.8


def check_vectors(written: Sequence[ParsedPolicy], bank: PromptBank) -> Iterator[Finding]:
    """
    Find texts that are nearly the same to the model.

    Cosines are rescaled so that the mean cosine of two background prompts is 0: unrelated texts have high cosines in
    some models and low ones in others.
    """
    owners = _owners(written, bank)
    near = _Nearness(bank)
    yield from _duplicates(owners, near, bank)
    yield from _cancelling(owners, near, bank)
    yield from _others(owners, near, bank)


class _Nearness:
    def __init__(self, bank: PromptBank) -> None:
        self._vectors = bank.vectors.astype(np.float64)
        background = self._vectors[slice(*bank.background_rows)]
        count = len(background)
        total = np.square(background.sum(axis=0)).sum()
        self._unrelated = (total - count) / (count * (count - 1)) if count > 1 else 0.0

    def of(self, rows: NDArray[np.intp], others: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Return the nearness of each row to each row, or to each of `others`: float64 [N, M]."""
        cosines = self._vectors[rows] @ self._vectors[rows if others is None else others].T
        return np.asarray((cosines - self._unrelated) / (1 - self._unrelated))


def _owners(written: Sequence[ParsedPolicy], bank: PromptBank) -> dict[int, tuple[ParsedPolicy, NodePath]]:
    """Return the file of each policy of the set, by the policy's index, with its position in the file."""
    places = {policy_id: (each, place) for each in written for policy_id, place in each.parts()}
    return {number: places[policy.id] for number, policy in enumerate(bank.policy_set.policies)}


def _place(owner: tuple[ParsedPolicy, NodePath], key: str, text: str) -> NodePath:
    written, prefix = owner
    part = written.file.children[int(prefix[1])] if prefix else written.file
    return (*prefix, key, getattr(part, key).index(text))


def _duplicates(
    owners: dict[int, tuple[ParsedPolicy, NodePath]], near: _Nearness, bank: PromptBank
) -> Iterator[Finding]:
    for number, policy in enumerate(bank.policy_set.policies):
        for key, texts, rows in (
            ("prompts", policy.prompts, bank.prompt_rows[number]),
            ("contrast", policy.contrast, bank.contrast_rows[number]),
        ):
            between = near.of(np.arange(*rows))
            for i, j in combinations(range(len(texts)), 2):
                if between[i, j] >= SAME:
                    message = f"`{texts[j]}` is nearly `{texts[i]}` ({between[i, j]:.2f})"
                    place = _place(owners[number], key, texts[j])
                    yield finding(Rule.NEAR_DUPLICATE, owners[number][0], place, message)


def _cancelling(
    owners: dict[int, tuple[ParsedPolicy, NodePath]], near: _Nearness, bank: PromptBank
) -> Iterator[Finding]:
    background = bank.policy_set.background.prompts
    for number, policy in enumerate(bank.policy_set.policies):
        against = [(Rule.NEAR_CONTRAST, "its own contrast", policy.contrast, bank.contrast_rows[number])]
        if policy.score is ScoreKind.CONTRAST:
            against.append((Rule.NEAR_BACKGROUND, "the background's", background, bank.background_rows))
        for rule, whose, texts, rows in against:
            between = near.of(np.arange(*bank.prompt_rows[number]), np.arange(*rows))
            for i, j in np.argwhere(between >= CANCELS).tolist():
                message = f"`{policy.prompts[i]}` is nearly {whose} `{texts[j]}` ({between[i, j]:.2f})"
                place = _place(owners[number], "prompts", policy.prompts[i])
                yield finding(rule, owners[number][0], place, message)


def _others(owners: dict[int, tuple[ParsedPolicy, NodePath]], near: _Nearness, bank: PromptBank) -> Iterator[Finding]:
    policies = bank.policy_set.policies
    prompts = [(number, text) for number, policy in enumerate(policies) for text in policy.prompts]
    rows = np.concatenate([np.arange(*each) for each in bank.prompt_rows])
    for i, j in np.argwhere(np.triu(near.of(rows), 1) >= SAME).tolist():
        (a, other), (b, text) = prompts[i], prompts[j]
        if a != b and not _related(policies[a].id, policies[b].id):
            message = f"`{text}` is nearly `{other}` of `{policies[a].id}`"
            yield finding(Rule.NEAR_OTHER_POLICY, owners[b][0], _place(owners[b], "prompts", text), message)


def _related(a: str, b: str) -> bool:
    return a.startswith(f"{b}.") or b.startswith(f"{a}.")
