"""`watchword policies measure`: a policy set on labelled photographs."""

import dataclasses
from pathlib import Path

import numpy as np

from pipeline.cli.console import output, plain_table, share
from pipeline.cli.transition import InProcess, note_access
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import LabelledFile, read_labels, read_policy_labels
from pipeline.evaluation.stats.confusion import PolicyFigures, figures
from pipeline.events.outcomes import Verdict
from pipeline.events.policies import PolicySet, PromptBank, ScoreKind
from pipeline.ingest.folder import read_files
from pipeline.judge.score import Judge
from pipeline.policies.load import load_policy_set

BY_WORDS = (ScoreKind.CONTRAST, ScoreKind.SIMILARITY)


def run_measure(folder: Path, data: Path, split: str) -> None:
    """Print each policy's figures on one split of `data`."""
    table = plain_table(
        "policy", "positives", "AP contrast", "AP similarity", "threshold", "suggested", "precision", "recall"
    )
    policy_set = load_policy_set(folder)
    note_access(policy_set.policies, "policies measure")
    thresholds = {policy.id: policy.threshold for policy in policy_set.policies}
    for each in measure_policies(policy_set, data, split):
        table.add_row(
            each.policy_id,
            str(each.positives),
            f"{each.contrast_ap:.3f}",
            f"{each.similarity_ap:.3f}",
            f"{thresholds[each.policy_id]:.2f}",
            f"{each.suggested:.2f}",
            share(each.confusion.precision),
            share(each.confusion.recall),
        )
    output().print(table)


def measure_policies(policy_set: PolicySet, data: Path, split: str) -> list[PolicyFigures]:
    """Return each labelled policy's figures. Raises `UsageError` when a label names no policy of the set."""
    labels = read_policy_labels(data / "policy_labels.yaml")
    unknown = labels.keys() - {policy.id for policy in policy_set.policies}
    if unknown:
        raise UsageError(f"`{data / 'policy_labels.yaml'}` names policies that are not in the set: {sorted(unknown)}")
    files = read_labels(data / "labels.csv", split)
    verdicts, bank = _judge_files(policy_set, files)
    embeddings = np.stack([verdict.embedding for verdict in verdicts])
    categories = np.array([file.category for file in files])
    by_kind = {kind: Judge(_scored_by(bank, kind)).judge(embeddings).raw for kind in BY_WORDS}
    flagged = np.stack([verdict.flagged for verdict in verdicts])
    return [
        figures(
            policy.id,
            by_kind[ScoreKind.CONTRAST][:, place],
            by_kind[ScoreKind.SIMILARITY][:, place],
            flagged[:, place],
            np.isin(categories, sorted(labels[policy.id])),
        )
        for place, policy in enumerate(policy_set.policies)
        if policy.id in labels
    ]


def _judge_files(policy_set: PolicySet, files: list[LabelledFile]) -> tuple[list[Verdict], PromptBank]:
    judged = InProcess(policy_set)
    verdicts = []
    for outcome in judged.outcomes([file.path for file in files], read_files):
        if not isinstance(outcome, Verdict):
            raise UsageError(f"`{outcome.record.origin.topic}` cannot be judged: {outcome.detail}")
        verdicts.append(outcome)
    return verdicts, judged.bank


def _scored_by(bank: PromptBank, kind: ScoreKind) -> PromptBank:
    policies = tuple(dataclasses.replace(policy, score=kind, head=None) for policy in bank.policy_set.policies)
    return dataclasses.replace(bank, policy_set=dataclasses.replace(bank.policy_set, policies=policies))
