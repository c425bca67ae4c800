"""Figures of a policy set on labelled photographs."""

import dataclasses
from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import LabelledFile, read_labels, read_policy_labels
from pipeline.evaluation.replay.score_kinds import PolicyFigures, policy_figures
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import PolicySet, PromptBank, ScoreKind
from pipeline.ingest.folder import read_files
from pipeline.judge.score import Judge
from pipeline.operations.workbench import Workbench

BY_WORDS = (ScoreKind.CONTRAST, ScoreKind.SIMILARITY)


def measure_policies(workbench: Workbench, policy_set: PolicySet, data: Path, split: str) -> list[PolicyFigures]:
    """
    Return the figures of each labelled policy on one split of `data`.

    `data` is a folder with `labels.csv` and `policy_labels.yaml`. Raises `UsageError` when a label names no policy of
    the set, or an image cannot be judged.
    """
    workbench.access.note(policy_set.policies, "policies measure")
    labels = read_policy_labels(data / "policy_labels.yaml")
    unknown = labels.keys() - {policy.id for policy in policy_set.policies}
    if unknown:
        raise UsageError(f"`{data / 'policy_labels.yaml'}` names policies that are not in the set: {sorted(unknown)}")
    files, bank = read_labels(data / "labels.csv", split), workbench.bank(policy_set)
    verdicts = _judge_files(workbench, bank, files)
    embeddings = np.stack([verdict.embedding for verdict in verdicts])
    categories = np.array([file.category for file in files])
    by_kind = {kind: Judge(_scored_by(bank, kind)).judge(embeddings).raw for kind in BY_WORDS}
    flagged = np.stack([verdict.flagged for verdict in verdicts])
    return [
        policy_figures(
            policy,
            by_kind[ScoreKind.CONTRAST][:, index],
            by_kind[ScoreKind.SIMILARITY][:, index],
            flagged[:, index],
            np.isin(categories, sorted(labels[policy.id])),
        )
        for index, policy in enumerate(policy_set.policies)
        if policy.id in labels
    ]


def _judge_files(workbench: Workbench, bank: PromptBank, files: list[LabelledFile]) -> list[Verdict]:
    verdicts = []
    for outcome in workbench.outcomes(bank, [file.path for file in files], read_files):
        if not isinstance(outcome, Verdict):
            raise UsageError(f"`{outcome.record.origin.topic}` cannot be judged: {outcome.detail}")
        verdicts.append(outcome)
    return verdicts


def _scored_by(bank: PromptBank, kind: ScoreKind) -> PromptBank:
    policies = tuple(dataclasses.replace(policy, score=kind, head=None) for policy in bank.policy_set.policies)
    return dataclasses.replace(bank, policy_set=dataclasses.replace(bank.policy_set, policies=policies))
