"""Evaluation of a bundle on one labelled split: all of its figures."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.encode.bundle import Bundle
from pipeline.errors import UsageError
from pipeline.evaluation.datasets.labels_csv import read_rows
from pipeline.evaluation.stats.intervals import Interval, wilson
from pipeline.events.policies import PolicySet
from pipeline.ingest.alter import ALTERATIONS, alter
from pipeline.models.captions import Captions
from pipeline.models.evaluation.bias import IdentityTerms, SliceRate, TermShift, slice_rates, term_shifts
from pipeline.models.evaluation.space import Space, measure_space
from pipeline.models.evaluation.subject import Subject
from pipeline.models.evaluation.zero_shot import Figures, paraphrases, zero_shot
from pipeline.policies.model_compatibility import stale_policies
from pipeline.progress import NO_PROGRESS, Progress


@dataclass(frozen=True)
class Material:
    """The data of an evaluation. `slices` names columns of labels.csv; `paraphrases` are texts by category."""

    data: Path
    split: str
    captions: Captions
    paraphrases: dict[str, tuple[str, ...]]
    policy_set: PolicySet
    terms: IdentityTerms
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """Zero-shot top-1 on the images of one slice."""

    column: str
    value: str
    images: int
    top1: Interval


@dataclass(frozen=True)
class Evaluation:
    """
    The figures of one bundle. `robustness` is by alteration; `paraphrases` is average precision by text.

    `stale` are policies whose thresholds were fitted for another model: they have figures of scores alone, and none
    when the score is a head trained on another model.
    """

    model: str
    digest: str
    split: str
    zero_shot: Figures
    paraphrases: dict[str, float]
    space: Space
    slices: tuple[SliceFigures, ...]
    robustness: dict[str, Figures]
    term_shifts: tuple[TermShift, ...]
    slice_rates: tuple[SliceRate, ...]
    stale: tuple[str, ...]

    @property
    def paraphrase_ap(self) -> float:
        """The mean average precision of the paraphrases; NaN without any."""
        return float(np.mean(list(self.paraphrases.values()))) if self.paraphrases else float("nan")


def evaluate(bundle: Bundle, material: Material, progress: Progress = NO_PROGRESS) -> Evaluation:
    """Measure a bundle. Raises `UsageError` for a column or a category that is missing."""
    slices = read_slices(material)
    subject = Subject.load(material.data, bundle, material.captions, material.split, progress)
    stale = {policy.id for policy in stale_policies(material.policy_set, bundle.lineage)}
    fitted = _without(material.policy_set, stale)
    able = _without(material.policy_set, {policy.id for policy in material.policy_set.policies if policy.head} & stale)
    return Evaluation(
        model=bundle.manifest.name,
        digest=bundle.digest,
        split=material.split,
        zero_shot=zero_shot(subject),
        paraphrases=paraphrases(subject, material.paraphrases),
        space=measure_space(subject),
        slices=tuple(_slice_figures(subject, slices)),
        robustness={
            kind: zero_shot(subject, subject.embed(alter(subject.images.pixels, kind)))
            for kind in progress.track(ALTERATIONS, "altering images", len(ALTERATIONS))
        },
        term_shifts=tuple(term_shifts(subject, able, material.terms, stale)) if able.policies else (),
        slice_rates=tuple(slice_rates(subject, fitted, dict(slices))) if fitted.policies else (),
        stale=tuple(sorted(stale)),
    )


def _slice_figures(subject: Subject, slices: dict[str, list[str]]) -> Iterator[SliceFigures]:
    right = (subject.embeds @ subject.vectors.T).argmax(axis=1) == subject.images.labels
    for column, values in slices.items():
        for value in sorted(set(values)):
            inside = [i for i, each in enumerate(values) if each == value]
            yield SliceFigures(column, value, len(inside), wilson(int(right[inside].sum()), len(inside)))


def _without(policy_set: PolicySet, left_out: set[str]) -> PolicySet:
    """Return the set without some policies and their children."""
    kept = tuple(policy for policy in policy_set.policies if not {policy.id, policy.parent} & left_out)
    return replace(policy_set, policies=kept)


def read_slices(material: Material) -> dict[str, list[str]]:
    """Return the columns of the slices, one value for each image of the split. Raises `UsageError`."""
    table = material.data / "labels.csv"
    rows = read_rows(table, material.split, "category")
    if missing := [column for column in material.slices if column not in rows[0]]:
        raise UsageError(f"`{table}` has no column {', '.join(missing)}; it has {', '.join(rows[0])}")
    return {column: [row[column] for row in rows] for column in material.slices}
